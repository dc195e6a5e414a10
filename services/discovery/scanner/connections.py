"""What is kept of a connection and of the place that it leads to, and in which words its end is put."""

import errno
import os
import socket
from dataclasses import replace

from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import Asked
from services.discovery.scanner.flight import Malformed, NotTls
from services.discovery.scanner.pace import network_of
from services.discovery.scanner.questions import Answer, Ending, Inquiry, Question, Reader
from shared.starttls import Dialogue, Framing, OtherProtocol, Refused

_RESET = {errno.ECONNRESET, errno.EPIPE}
_REFUSED = Answer(Ending.REFUSED)
_TOO_SLOW = "it answers so slowly that not everything was asked"


class Asking:
    """One place, and what is still to be answered before its inquiry goes on."""

    __slots__ = ("answers", "asked", "inquiry", "network", "open", "questions", "spent")

    def __init__(self, asked: Asked) -> None:
        self.network = network_of(asked.address)
        self.asked = asked
        self.inquiry: Inquiry | None = None
        """None until somebody has answered: at most places of a sparse network nobody does."""
        self.questions: list[Question] = []
        self.answers: list[Answer | None] = []
        self.open = 0
        self.spent = 0.0
        """Seconds that its connections took, one after the other or side by side."""


class Connection:
    """One connection, with one question on it."""

    __slots__ = ("asking", "began", "dialogue", "fd", "framing", "number", "other", "question", "socket")

    def __init__(self, asking: Asking, number: int, opened: socket.SocketType, began: float) -> None:
        self.asking = asking
        self.number = number
        self.socket: socket.SocketType | None = opened
        self.fd = opened.fileno()
        self.began = began
        self.question: Question | None = None
        """What we have said; None until it stands."""
        self.dialogue: Dialogue | None = None
        self.framing: Framing | None = None
        self.other: Connection | None = None
        """Who asks the same in another way."""

    @property
    def has_heard(self) -> bool:
        """Return whether the server has said anything of TLS."""
        return bool(getattr(self.reader, "has_heard", False))

    @property
    def reader(self) -> Reader | None:
        """Return who takes what is heard; None until it stands."""
        return self.question.reader if self.question is not None else None


def unreached(code: int) -> Answer:
    """Return what became of a connection that never stood, by the number of the error."""
    if code == errno.ECONNREFUSED:
        return _REFUSED
    if code == errno.ETIMEDOUT:
        return Answer(Ending.UNREACHED)
    if code in _RESET:
        return Answer(Ending.HUNG_UP)
    name = errno.errorcode.get(code, "")
    return Answer(Ending.FAILED, reason=f"{os.strerror(code)} {name}".strip())


def hung_up(connection: Connection) -> Answer:
    """Return what became of a connection that was closed by the other side."""
    reader = connection.reader
    if connection.dialogue is not None and connection.question is not None:
        return Answer(
            Ending.NOT_TLS, reader, reason=f"it hung up before {connection.question.starttls} began TLS"
        )
    return Answer(Ending.CUT if connection.has_heard else Ending.HUNG_UP, reader)


def cut_short(connection: Connection, error: Exception) -> Answer:
    """Return what became of a connection on which something was said, or heard, that ends it."""
    reader = connection.reader
    if isinstance(error, NotTls):
        return Answer(Ending.NOT_TLS, reader, said=error.said)
    if isinstance(error, OtherProtocol):
        return Answer(Ending.NOT_TLS, reader, reason=str(error))
    if isinstance(error, Malformed):
        return Answer(Ending.MALFORMED, reader, reason=str(error))
    if isinstance(error, Refused):
        return Answer(Ending.NO_STARTTLS, reader, reason=str(error))
    code = error.errno if isinstance(error, OSError) and error.errno else errno.ECONNRESET
    return hung_up(connection) if code in _RESET else replace(unreached(code), reader=reader)


def hurried(inquiry: Inquiry, questions: list[Question]) -> Sighting:
    """Let an inquiry end with what it knows: whatever it still asks is answered with silence."""
    while True:
        try:
            questions = inquiry.send([Answer(Ending.SILENT, each.reader) for each in questions])
        except StopIteration as end:
            seen: Sighting = end.value
            return replace(seen, reason=seen.reason or _TOO_SLOW)
