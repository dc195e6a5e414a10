"""Decides what becomes of an order: its states, when it is tried again, and when a lineage needs one."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.events.inventory import Urgency

MOST = timedelta(days=1)
"""No authority makes us wait for longer than this."""
LEAST_CAP = timedelta(minutes=1)
"""However little time is left, the schedule's waits are not cut to less than this."""
_BY_URGENCY = list(Urgency)


class State(StrEnum):
    """Where an order is."""

    PENDING = "pending"
    AWAITING_REQUEST = "awaiting_request"
    """The key is being made on the target, from where the request comes."""
    AWAITING_APPROVAL = "awaiting_approval"
    ISSUING = "issuing"
    WAITING = "waiting"
    RENEWED = "renewed"
    FAILED = "failed"


OPEN = (State.PENDING, State.AWAITING_REQUEST, State.AWAITING_APPROVAL, State.ISSUING, State.WAITING)
"""A lineage has at most one order in these states."""


@dataclass(frozen=True)
class Schedule:
    """The waits after failed attempts; the last one repeats."""

    waits: tuple[timedelta, ...]

    def next_attempt(
        self, *, failed: int, asked: timedelta | None, expires: datetime | None = None, now: datetime
    ) -> datetime:
        """Return when to try again after `failed` attempts; `asked` is what the authority wants, up to a day.

        Near the expiry of the certificate that is to be replaced, before it and after it, a wait is at
        most a tenth of the time to it; what the authority asks for goes before that.
        """
        wait = self.waits[min(failed, len(self.waits)) - 1]
        if expires is not None:
            wait = min(wait, max(abs(expires - now) / 10, LEAST_CAP))
        return now + max(wait, min(asked or timedelta(), MOST))


@dataclass(frozen=True, kw_only=True)
class NoticeFacts:
    """What is known of a lineage that runs out: of which certificate, how urgent, and whether it is over."""

    fingerprint: str
    not_after: datetime
    urgency: Urgency
    is_open: bool


def supersedes(told: NoticeFacts, known: NoticeFacts | None) -> bool:
    """Return whether a notice tells something new: events come late, twice and in any order."""
    if known is None:
        return True
    if told.fingerprint != known.fingerprint:
        return told.not_after > known.not_after
    return known.is_open and _BY_URGENCY.index(told.urgency) > _BY_URGENCY.index(known.urgency)


def is_urgent(urgency: Urgency) -> bool:
    """Return whether so little is left that a lineage is ordered even where its schedule says later."""
    return _BY_URGENCY.index(urgency) >= _BY_URGENCY.index(Urgency.ERROR)


def needs_order(latest: State | None) -> bool:
    """Return whether a lineage that runs out is to be ordered, `latest` being its certificate's last order."""
    return latest is None or latest is State.FAILED
