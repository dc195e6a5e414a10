"""Asks many servers at a time, on one epoll: opens connections, sends questions, reads answers, and hangs up.

It never waits by itself but in `step`, so that whoever drives it decides where: a command line in a
loop of its own, a service between the other things that its event loop does.
"""

import errno
import logging
import select
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from time import monotonic

from services.discovery.domain.answers import Outcome
from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import Asked
from services.discovery.scanner.connections import Asking, Connection, cut_short, hung_up, hurried, unreached
from services.discovery.scanner.door import Door
from services.discovery.scanner.flight import Malformed, NotTls
from services.discovery.scanner.pace import Bucket, Crowd, Sockets, Window
from services.discovery.scanner.questions import Answer, Ending, Inquiry, unanswered
from services.discovery.scanner.talk import Talk
from shared.starttls import PROTOCOLS, OtherProtocol, Refused

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
_MOST_TIMEOUTS = 100
"""What the connections of one place may take together, in time-outs: hundreds of slow answers are a trap."""
_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
_GONE = select.EPOLLHUP | select.EPOLLERR
_ANSWERS = _IN | select.EPOLLET
_STANDS = _ANSWERS | _OUT


@dataclass(frozen=True, kw_only=True)
class Tempo:
    """`timeout` (seconds) bounds each connection as a whole; the rest bounds how many there are."""

    timeout: float = 3.0
    concurrency: int = 1000
    rate: float | None = None
    per_host: int | None = 10
    per_network: int | None = 256


class Engine:
    """The connections of one scan. Close it at the end."""

    def __init__(
        self,
        asked: Iterable[Asked],
        *,
        permits: Callable[[str, int], bool],
        inquire: Callable[[Asked], Inquiry],
        tempo: Tempo,
        sockets: Sockets,
    ) -> None:
        """Take the places; those whose address is not permitted are seen as excluded, and no packet goes there."""
        self._coming: Iterator[Asked] | None = iter(asked)
        self._permits = permits
        self._inquire = inquire
        self._timeout = tempo.timeout
        self._most = tempo.concurrency
        self._sockets = sockets
        self._window = Window(most=self._most, late=tempo.timeout / 2)
        self._bucket = Bucket(rate=tempo.rate) if tempo.rate else None
        self._crowd = Crowd(per_host=tempo.per_host, per_network=tempo.per_network)
        self._door = Door()
        self._epoll = select.epoll()
        self._live: dict[int, Connection] = {}
        self._by_age: deque[Connection] = deque()
        self._unheard: deque[Connection] = deque()
        """Those that can be asked otherwise, until half their time is over."""
        self._held: deque[tuple[Asking, int]] = deque()
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
        self._door.close()
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
        if not self._permits(asked.address, asked.port):
            reason = "excluded, or denied by the operator"
            self._seen.append(Sighting(asked=asked, outcome=Outcome.EXCLUDED, reason=reason))
            return
        self._inquiries += 1
        self._open(Asking(asked), 0, now)

    def _inquire_of(self, asking: Asking) -> bool:
        """Begin the inquiry of a place that answers; return whether it asks something."""
        if not self._ask_on(asking, None):
            return False
        # The first question goes over the connection that stands.
        self._open_all(asking, range(1, asking.open), monotonic())
        return True

    def _ask_on(self, asking: Asking, answers: list[Answer] | None) -> bool:
        """Let an inquiry have its answers; return whether it asks on, or has seen enough."""
        try:
            if asking.inquiry is None or answers is None:
                asking.inquiry = self._inquire(asking.asked)
                asking.questions = next(asking.inquiry)
            else:
                asking.questions = asking.inquiry.send(answers)
            if asking.spent > _MOST_TIMEOUTS * self._timeout:
                self._end(hurried(asking.inquiry, asking.questions))
                return False
        except StopIteration as end:
            self._end(end.value)
            return False
        except Exception as error:  # one odd place must not end the look at all others
            log.exception("look.failed %s", asking.asked)
            reason = f"{type(error).__name__} on our side"
            self._end(Sighting(asked=asking.asked, outcome=Outcome.FAILED, reason=reason))
            return False
        asking.open = len(asking.questions)
        asking.answers = [None] * asking.open
        return True

    def _end(self, sighting: Sighting) -> None:
        self._inquiries -= 1
        self._seen.append(sighting)

    def _open_all(self, asking: Asking, numbers: Iterable[int], now: float) -> None:
        for number in numbers:
            if self._has_room():
                self._open(asking, number, now)
            else:
                self._held.append((asking, number))

    def _open(self, asking: Asking, number: int, now: float) -> bool:
        """Connect; a question for which there is no room now is held."""
        address = asking.asked.address
        if not self._crowd.has_room(address, asking.network) or (
            self._bucket is not None and not self._bucket.take(now)
        ):
            self._held.append((asking, number))
            return False
        opened, code = self._door.knock(address, asking.asked.port)
        if opened is not None:
            self._watch(Connection(asking, number, opened, now), stands=code == 0)
            return True
        if code in _SHORT_OF and (self._live or code in (errno.EMFILE, errno.ENFILE)):
            self._paused_until = now + _PAUSE
            self._held.append((asking, number))
            return False
        self._answer(asking, number, unreached(code), now)
        return True

    def _watch(self, connection: Connection, *, stands: bool) -> None:
        self._live[connection.fd] = connection
        self._sockets.open += 1
        self._by_age.append(connection)
        self._crowd.enter(connection.asking.asked.address, connection.asking.network)
        self._epoll.register(connection.fd, _ANSWERS if stands else _STANDS)
        if stands:
            self._hear(connection, _OUT)

    def _hear(self, connection: Connection, event: int) -> None:
        opened = connection.socket
        assert opened is not None  # noqa: S101 - what is live is open
        try:
            if connection.question is None:
                if event & _GONE:
                    self._give_up(connection, opened)
                    return
                if not self._speak_first(connection, opened):
                    return
            if event & _IN:
                self._read(connection, opened)
            elif event & _GONE:
                self._finish(connection, hung_up(connection))
        except (OSError, NotTls, Malformed, Refused, OtherProtocol) as error:
            self._finish(connection, cut_short(connection, error))
        except Exception as error:  # a reader's mistake about one server must not end the look at all others
            log.exception("reading failed %s", connection.asking.asked)
            reason = f"{type(error).__name__} on our side"
            self._finish(connection, Answer(Ending.MALFORMED, connection.reader, reason=reason))

    def _give_up(self, connection: Connection, opened: socket.SocketType) -> None:
        """Let a connection be that did not come about."""
        asked, now = connection.asking.asked, monotonic()
        code = opened.connect_ex((asked.address, asked.port)) or errno.ECONNRESET
        self._epoll.unregister(connection.fd)
        self._door.take_back(opened, code)
        self._leave(connection, now)
        if connection.other is None:
            self._answer(connection.asking, connection.number, unreached(code), now)

    def _speak_first(self, connection: Connection, opened: socket.SocketType) -> bool:
        """Say hello, in the words of the protocol that is spoken; return False where nothing is to be said."""
        asking = connection.asking
        if asking.inquiry is None and not self._inquire_of(asking):
            opened.close()
            self._leave(connection, monotonic())
            return False
        question = asking.questions[connection.number]
        if connection.other is not None and question.otherwise is not None:
            question = question.otherwise()
        elif question.otherwise is not None:
            self._unheard.append(connection)
        connection.question = question
        self._talking += 1
        words = question.hello
        if question.starttls is not None:
            connection.dialogue = PROTOCOLS[question.starttls].dialogue(asking.asked.server_name)
            words = next(connection.dialogue)
        if words:
            opened.send(words)
        return True

    def _read(self, connection: Connection, opened: socket.SocketType) -> None:
        assert connection.question is not None  # noqa: S101 - who is read from was asked
        reader = connection.question.reader
        while True:
            try:
                data = opened.recv(_READ)
            except BlockingIOError:
                return
            if not data:
                self._finish(connection, hung_up(connection))
                return
            if connection.dialogue is not None:
                self._converse(connection, opened, data)
                continue
            if connection.framing is not None:
                data = connection.framing.unwrap(data)
            if data and reader.feed(data):
                self._finish(connection, Answer(Ending.HEARD, reader))
                return
            if isinstance(reader, Talk) and reader.words:
                words = reader.take_words()
                opened.send(connection.framing.wrap(words) if connection.framing is not None else words)

    def _converse(self, connection: Connection, opened: socket.SocketType, data: bytes) -> None:
        assert connection.dialogue is not None  # noqa: S101 - asked by the caller
        assert connection.question is not None  # noqa: S101 - the same
        try:
            words = connection.dialogue.send(data)
        except StopIteration as end:
            connection.dialogue, connection.framing = None, end.value
            hello = connection.question.hello
            words = connection.framing.wrap(hello) if connection.framing is not None else hello
        if words:
            opened.send(words)

    def _expire(self, now: float) -> None:
        while self._unheard and self._unheard[0].began + self._timeout / 2 <= now:
            connection = self._unheard.popleft()
            if connection.socket is not None and not connection.has_heard:
                self._ask_otherwise(connection, now)
        while self._by_age:
            connection = self._by_age[0]
            if connection.socket is not None:
                if now - connection.began <= self._timeout:
                    return
                ending = Ending.UNREACHED if connection.question is None else Ending.SILENT
                self._finish(connection, Answer(ending, connection.reader))
            self._by_age.popleft()

    def _ask_otherwise(self, connection: Connection, now: float) -> None:
        """Ask once more beside a connection on which nothing comes; where there is no room, it is not asked."""
        asked = connection.asking.asked
        if not self._has_room() or not self._crowd.has_room(asked.address, connection.asking.network):
            return
        opened, code = self._door.knock(asked.address, asked.port)
        if opened is not None:
            other = Connection(connection.asking, connection.number, opened, now)
            connection.other, other.other = other, connection
            self._watch(other, stands=code == 0)

    def _finish(self, connection: Connection, answer: Answer) -> None:
        """Hang up, and let the inquiry have the answer."""
        if connection.socket is None:
            return
        connection.socket.close()
        now = monotonic()
        self._leave(connection, now)
        other = connection.other
        if other is not None and other.socket is not None:
            other.socket.close()
            self._leave(other, now)
        self._answer(connection.asking, connection.number, answer, now)

    def _leave(self, connection: Connection, now: float) -> None:
        """Count a connection as over."""
        connection.socket = None
        del self._live[connection.fd]
        self._sockets.open -= 1
        if connection.question is not None:
            self._talking -= 1
            self._window.answered(after=now - connection.began, now=now)
        connection.asking.spent += now - connection.began
        self._crowd.leave(connection.asking.asked.address, connection.asking.network)

    def _answer(self, asking: Asking, number: int, answer: Answer, now: float) -> None:
        if asking.inquiry is None:
            sighting = unanswered(asking.asked, answer)
            if sighting is not None:
                self._end(sighting)
                return
            if not self._inquire_of(asking):
                return
        if answer.reader is None:  # it never stood, as some did before it: nothing was heard
            answer = replace(answer, reader=asking.questions[number].reader)
        asking.answers[number] = answer
        asking.open -= 1
        if not asking.open and self._ask_on(asking, [each for each in asking.answers if each is not None]):
            self._open_all(asking, range(asking.open), now)
