"""What can be asked of a server on one connection, and what can come of it."""

from collections.abc import Callable, Generator
from enum import Enum, auto
from typing import Protocol

from services.discovery.domain.answers import Outcome
from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import Asked
from services.discovery.domain.values import value
from services.discovery.scanner.flight import Flight


class Ending(Enum):
    """How a connection ended."""

    HEARD = auto()
    """What was asked was answered: the reader has all there is."""
    REFUSED = auto()
    """Nobody listens on the port."""
    UNREACHED = auto()
    """The connection was not answered in time."""
    SILENT = auto()
    """It was, and then nothing came, or not all, in time."""
    HUNG_UP = auto()
    """The server closed before it had said anything."""
    CUT = auto()
    """The server closed in the middle of its answer."""
    NOT_TLS = auto()
    """It said something else; `said` is how that begins."""
    MALFORMED = auto()
    """It said TLS that makes no sense, or that is beyond our bounds."""
    NO_STARTTLS = auto()
    """It speaks the protocol, and will not start TLS."""
    FAILED = auto()
    """The system did not let us connect."""


class Reader(Protocol):
    """Takes what the server says."""

    def feed(self, data: bytes) -> bool:
        """Take bytes; return whether there is nothing more to wait for. Raises `Malformed`, `NotTls`."""
        ...


@value(frozen=True, slots=True)
class Question:
    """A hello to be sent on a connection of its own, after the dialogue of `starttls` where it is named."""

    hello: bytes
    reader: Reader
    starttls: str | None = None
    otherwise: "Callable[[], Question] | None" = None
    """Makes the question that is asked beside it where nothing was heard in half the time-out: whoever is answered first answers both."""


@value(frozen=True, slots=True)
class Answer:
    """What came of a question; `reason` says it in words where `ending` alone does not."""

    ending: Ending
    reader: Reader | None = None
    """Who took what was said; None where the connection never stood."""
    reason: str = ""
    said: bytes = b""

    @property
    def has_heard(self) -> bool:
        """Return whether the server has said anything of TLS."""
        return bool(getattr(self.reader, "has_heard", False))

    @property
    def flight(self) -> Flight:
        """Return the reader of a ClientHello's answer."""
        assert isinstance(self.reader, Flight)  # noqa: S101 - a programming error, never a server's doing
        return self.reader


Inquiry = Generator[list[Question], list[Answer], Sighting]
"""How one place is looked at: yields questions that may be asked side by side, is sent their answers in the
same order, and returns what was seen."""


def unanswered(asked: Asked, answer: Answer) -> Sighting | None:
    """Return what was seen where no connection stood, so that nothing was asked; None where more may be asked."""
    if answer.ending is Ending.REFUSED:
        return Sighting(asked=asked, outcome=Outcome.REFUSED, reason="nobody listens on this port")
    if answer.ending is Ending.UNREACHED:
        return Sighting(asked=asked, outcome=Outcome.SILENT, reason="no answer in time")
    if answer.ending is Ending.FAILED:
        return Sighting(asked=asked, outcome=Outcome.FAILED, reason=answer.reason)
    return None
