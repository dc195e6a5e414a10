"""What an outside system keeps of an alert, and what people have done with it there.

A ticket is opened once for an alert, told of its later turns, and closed when the problem is seen to be over. That
somebody closes it there ends nothing here: only observation does.
"""

from dataclasses import dataclass
from enum import StrEnum


class TicketState(StrEnum):
    """Whether people are to work on it."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """A ticket, an issue, or the first message of a thread."""

    key: str
    """What people call it: `INC0010023`, `OPS-7`."""
    ref: str
    """What the API calls it."""
    link: str | None = None
    state: TicketState = TicketState.OPEN


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What somebody has decided in a ticket."""

    id: str
    """The same whenever it is read."""
    is_granted: bool
    decided_by: str
    """As the outside system knows them."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What became of a ticket."""

    state: TicketState
    words: str
    """What the outside system calls that state."""
    decisions: tuple[Decision, ...] = ()


def news(before: TicketState, seen: Seen, *, key: str) -> str | None:
    """Return what is to be noted with the open alert of a ticket, or None where nothing has changed."""
    if before is seen.state:
        return None
    if seen.state is TicketState.CLOSED:
        return f"The ticket {key} was closed there ({seen.words}); the problem was not seen to be over."
    return f"The ticket {key} was opened again there ({seen.words})."


def undecided(seen: Seen, *, passed: tuple[str, ...]) -> tuple[Decision, ...]:
    """Return what was decided and not passed on yet."""
    return tuple(each for each in seen.decisions if each.id not in passed)
