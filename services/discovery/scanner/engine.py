"""Asks many servers at a time, on one epoll: opens connections, sends questions, reads answers, and hangs up.

It never waits by itself but in `step`, so that whoever drives it decides where: a command line in a
loop of its own, a service between the other things that its event loop does.
"""

import errno
import logging
import os
import select
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import ClassVar

from services.discovery.domain.answers import Outcome
from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import Asked
from services.discovery.scanner.flight import Malformed, NotTls
from services.discovery.scanner.pace import Bucket, Crowd, Sockets, Window, network_of
from services.discovery.scanner.questions import Answer, Ending, Inquiry, Question
from services.discovery.scanner.starttls import PROTOCOLS, Dialogue, Framing, OtherProtocol, Refused

log = logging.getLogger(__name__)

_READ = 65536
_AT_ONCE = 128
"""Connections opened between two looks at those that are open: they come first."""
_MOST_HELD = 4096
"""Questions that wait for room at their host or network before no more places are taken up."""
_SHORT_OF = {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN}
_PAUSE = 0.05
"""Seconds to wait where the system is short of files, ports or memory."""
_WAIT = 0.2
_IN, _OUT, _EDGE = select.EPOLLIN, select.EPOLLOUT, select.EPOLLET
_GONE = select.EPOLLHUP | select.EPOLLERR


@dataclass(frozen=True, kw_only=True)
class Tempo:
    """`timeout` (seconds) bounds each connection as a whole; the rest bounds how many there are."""

    timeout: float = 3.0
    concurrency: int = 1000
    rate: float | None = None
    per_host: int | None = 10
    per_network: int | None = 256


class _Asking:
    """One place, and what is still to be answered before its inquiry goes on."""

    __slots__ = ("answers", "asked", "inquiry", "network", "open", "questions")

    def __init__(self, asked: Asked, inquiry: Inquiry) -> None:
        self.network = network_of(asked.address)
        self.asked = asked
        self.inquiry = inquiry
        self.questions: list[Question] = []
        self.answers: list[Answer | None] = []
        self.open = 0


class _Connection:
    __slots__ = ("asking", "began", "dialogue", "fd", "framing", "has_spoken", "number", "question", "socket")
    edge: ClassVar[int] = _IN | _OUT | _EDGE

    def __init__(self, asking: _Asking, number: int, opened: socket.socket, began: float) -> None:
        self.asking = asking
        self.number = number
        self.question = asking.questions[number]
        self.socket: socket.socket | None = opened
        self.fd = opened.fileno()
        self.began = began
        self.has_spoken = False
        self.dialogue: Dialogue | None = None
        self.framing: Framing | None = None


class Engine:
    """The connections of one scan. Close it at the end."""

    def __init__(
        self, asked: Iterable[Asked], *, inquire: Callable[[Asked], Inquiry], tempo: Tempo, sockets: Sockets
    ) -> None:
        self._coming: Iterator[Asked] | None = iter(asked)
        self._inquire = inquire
        self._timeout = tempo.timeout
        self._most = tempo.concurrency
        self._sockets = sockets
        self._window = Window(most=self._most, late=tempo.timeout / 2)
        self._bucket = Bucket(rate=tempo.rate) if tempo.rate else None
        self._crowd = Crowd(per_host=tempo.per_host, per_network=tempo.per_network)
        self._epoll = select.epoll()
        self._live: dict[int, _Connection] = {}
        self._by_age: deque[_Connection] = deque()
        self._held: deque[tuple[_Asking, int]] = deque()
        self._talking = 0
        self._inquiries = 0
        self._paused_until = 0.0
        self._has_more = True
        self._seen: list[Sighting] = []

    def retime(self, tempo: Tempo) -> None:
        """Go on at another tempo; connections that are open stay, and keep their time-out."""
        self._most = self._window.most = tempo.concurrency
        self._window.width = min(self._window.width, float(tempo.concurrency))
        self._crowd.limit(per_host=tempo.per_host, per_network=tempo.per_network)
        if self._bucket is not None and tempo.rate:
            self._bucket.rate = tempo.rate

    @property
    def is_done(self) -> bool:
        """Return whether every place was looked at, and every sighting given out."""
        return self._coming is None and not self._inquiries and not self._seen

    def fileno(self) -> int:
        """Return what becomes readable when a connection has something to say."""
        return self._epoll.fileno()

    def close(self) -> None:
        """Hang up on everybody."""
        for connection in self._live.values():
            if connection.socket is not None:
                connection.socket.close()
                self._sockets.open -= 1
        self._live.clear()
        self._epoll.close()

    def step(self, *, wait: float = 0.0) -> list[Sighting]:
        """Open what there is room for, hear what there is to hear (within `wait` seconds), and return what was seen."""
        self._has_more = self._admit(monotonic())
        pause = 0.0 if self._has_more or self._seen else min(wait, self.patience)
        for fd, event in self._epoll.poll(pause, 1024):
            connection = self._live.get(fd)
            if connection is not None:
                self._hear(connection, event)
        self._expire(monotonic())
        seen, self._seen = self._seen, []
        return seen

    @property
    def patience(self) -> float:
        """Return the seconds after which `step` has something to do, whether anybody speaks or not."""
        while self._by_age and self._by_age[0].socket is None:
            self._by_age.popleft()
        if not self._by_age or self._held:
            return _PAUSE
        return max(0.0, min(_WAIT, self._by_age[0].began + self._timeout - monotonic()))

    @property
    def has_work(self) -> bool:
        """Return whether `step` would open connections now."""
        return self._has_more and self._has_room()

    def _has_room(self) -> bool:
        if len(self._live) >= self._most or self._talking >= self._window.width:
            return False
        return self._sockets.open < self._sockets.most

    def _admit(self, now: float) -> bool:
        """Open connections; return whether there are more to open at once."""
        if now < self._paused_until:
            return False
        opened = self._admit_held(now)
        while opened < _AT_ONCE and self._has_room() and len(self._held) < _MOST_HELD:
            if self._coming is None:
                return False
            asked = next(self._coming, None)
            if asked is None:
                self._coming = None
                return False
            self._begin(asked, now)
            opened += 1
        return opened >= _AT_ONCE

    def _admit_held(self, now: float) -> int:
        opened = 0
        for _ in range(min(len(self._held), 4 * _AT_ONCE)):
            if not self._has_room():
                break
            asking, number = self._held.popleft()
            opened += self._open(asking, number, now)
        return opened

    def _begin(self, asked: Asked, now: float) -> None:
        asking = _Asking(asked, self._inquire(asked))
        self._inquiries += 1
        self._go_on(asking, None, now)

    def _go_on(self, asking: _Asking, answers: list[Answer] | None, now: float) -> None:
        """Let an inquiry have its answers: it asks on, or has seen enough."""
        try:
            questions = next(asking.inquiry) if answers is None else asking.inquiry.send(answers)
        except StopIteration as end:
            self._end(end.value)
            return
        except Exception as error:  # one odd place must not end the look at all others
            log.exception("look.failed %s", asking.asked)
            reason = f"{type(error).__name__} on our side"
            self._end(Sighting(asked=asking.asked, outcome=Outcome.FAILED, reason=reason))
            return
        asking.questions, asking.answers = questions, [None] * len(questions)
        asking.open = len(questions)
        for number in range(len(questions)):
            if answers is None or self._has_room():
                self._open(asking, number, now)
            else:
                self._held.append((asking, number))

    def _end(self, sighting: Sighting) -> None:
        self._inquiries -= 1
        self._seen.append(sighting)

    def _open(self, asking: _Asking, number: int, now: float) -> bool:
        """Connect; a question for which there is no room now is held."""
        address = asking.asked.address
        if not self._crowd.has_room(address, asking.network) or (
            self._bucket is not None and not self._bucket.take(now)
        ):
            self._held.append((asking, number))
            return False
        opened = None
        try:
            opened = socket.socket(
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM | socket.SOCK_NONBLOCK,
            )
            code = opened.connect_ex((address, asking.asked.port))
        except OSError as error:
            code = error.errno or errno.EIO
        if opened is not None and code in (0, errno.EINPROGRESS):
            self._watch(_Connection(asking, number, opened, now))
            return True
        if opened is not None:
            opened.close()
        if code in _SHORT_OF and (self._live or code in (errno.EMFILE, errno.ENFILE)):
            self._paused_until = now + _PAUSE
            self._held.append((asking, number))
            return False
        self._answer(asking, number, _unreached(code, asking.questions[number]), now)
        return True

    def _watch(self, connection: _Connection) -> None:
        self._live[connection.fd] = connection
        self._sockets.open += 1
        self._by_age.append(connection)
        self._crowd.enter(connection.asking.asked.address, connection.asking.network)
        self._epoll.register(connection.fd, _Connection.edge)

    def _hear(self, connection: _Connection, event: int) -> None:
        opened = connection.socket
        assert opened is not None  # noqa: S101 - what is live is open
        try:
            if not connection.has_spoken:
                if event & _GONE:
                    code = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    self._finish(connection, _unreached(code or errno.ECONNRESET, connection.question))
                    return
                self._speak_first(connection, opened)
            if event & _IN:
                self._read(connection, opened)
            elif event & _GONE:
                self._finish(connection, _hung_up(connection))
        except OSError as error:
            self._finish(connection, _broken(connection, error))
        except NotTls as other:
            self._finish(connection, Answer(Ending.NOT_TLS, connection.question.reader, said=other.said))
        except Malformed as error:
            self._finish(connection, Answer(Ending.MALFORMED, connection.question.reader, reason=str(error)))
        except Refused as error:
            self._finish(
                connection, Answer(Ending.NO_STARTTLS, connection.question.reader, reason=str(error))
            )
        except OtherProtocol as error:
            self._finish(connection, Answer(Ending.NOT_TLS, connection.question.reader, reason=str(error)))

    def _speak_first(self, connection: _Connection, opened: socket.socket) -> None:
        connection.has_spoken = True
        self._talking += 1
        question = connection.question
        if question.starttls is None:
            opened.send(question.hello)
            return
        connection.dialogue = PROTOCOLS[question.starttls].dialogue(connection.asking.asked.server_name)
        words = next(connection.dialogue)
        if words:
            opened.send(words)

    def _read(self, connection: _Connection, opened: socket.socket) -> None:
        feed = connection.question.reader.feed
        while True:
            try:
                data = opened.recv(_READ)
            except BlockingIOError:
                return
            if not data:
                self._finish(connection, _hung_up(connection))
                return
            if connection.dialogue is not None:
                self._converse(connection, opened, data)
                continue
            if connection.framing is not None:
                data = connection.framing.unwrap(data)
            if data and feed(data):
                self._finish(connection, Answer(Ending.HEARD, connection.question.reader))
                return

    def _converse(self, connection: _Connection, opened: socket.socket, data: bytes) -> None:
        assert connection.dialogue is not None  # noqa: S101 - asked by the caller
        try:
            words = connection.dialogue.send(data)
        except StopIteration as end:
            connection.dialogue, connection.framing = None, end.value
            hello = connection.question.hello
            words = connection.framing.wrap(hello) if connection.framing is not None else hello
        if words:
            opened.send(words)

    def _expire(self, now: float) -> None:
        while self._by_age:
            connection = self._by_age[0]
            if connection.socket is not None:
                if now - connection.began <= self._timeout:
                    return
                ending = Ending.SILENT if connection.has_spoken else Ending.UNREACHED
                self._finish(connection, Answer(ending, connection.question.reader), now=now)
            self._by_age.popleft()

    def _finish(self, connection: _Connection, answer: Answer, *, now: float | None = None) -> None:
        if connection.socket is None:
            return
        connection.socket.close()
        connection.socket = None
        del self._live[connection.fd]
        self._sockets.open -= 1
        now = now or monotonic()
        if connection.has_spoken:
            self._talking -= 1
            self._window.answered(after=now - connection.began, now=now)
        self._crowd.leave(connection.asking.asked.address, connection.asking.network)
        self._answer(connection.asking, connection.number, answer, now)

    def _answer(self, asking: _Asking, number: int, answer: Answer, now: float) -> None:
        asking.answers[number] = answer
        asking.open -= 1
        if not asking.open:
            self._go_on(asking, [each for each in asking.answers if each is not None], now)


def _unreached(code: int, question: Question) -> Answer:
    if code == errno.ECONNREFUSED:
        return Answer(Ending.REFUSED, question.reader)
    if code == errno.ETIMEDOUT:
        return Answer(Ending.UNREACHED, question.reader)
    if code in (errno.ECONNRESET, errno.EPIPE):
        return Answer(Ending.HUNG_UP, question.reader)
    name = errno.errorcode.get(code, "")
    return Answer(Ending.FAILED, question.reader, reason=f"{os.strerror(code)} {name}".strip())


def _hung_up(connection: _Connection) -> Answer:
    reader = connection.question.reader
    if connection.dialogue is not None:
        return Answer(
            Ending.NOT_TLS, reader, reason=f"it hung up before {connection.question.starttls} began TLS"
        )
    has_heard = bool(getattr(reader, "has_heard", False))
    return Answer(Ending.CUT if has_heard else Ending.HUNG_UP, reader)


def _broken(connection: _Connection, error: OSError) -> Answer:
    if error.errno in (errno.ECONNRESET, errno.EPIPE, None):
        return _hung_up(connection)
    return _unreached(error.errno or errno.EIO, connection.question)
