"""Conversations of more than one question on a connection, for the few checks that a hello does not answer.

A conversation is a generator: it yields what to say, is sent what was heard, and returns what it has found out.
It has no input or output of its own, so that the engine's pace and bounds hold for it as for any question.
"""

from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

from services.discovery.scanner.flight import MOST_BYTES, Flight, Malformed
from services.discovery.scanner.keys import Keys

T_co = TypeVar("T_co", covariant=True)
Conversation = Generator[bytes, bytes, T_co]

CHANGE_CIPHER, ALERT, HANDSHAKE, HEARTBEAT = 20, 21, 22, 24
_HEADER = 5


class Talk(Generic[T_co]):
    """Reads on a connection by letting a conversation go on, and has what it would say next."""

    def __init__(self, conversation: Conversation[T_co]) -> None:
        self._conversation = conversation
        self._taken = 0
        self.hello = next(conversation)
        self.words = b""
        self.turns = 0
        """How many times more was said after the hello."""
        self.result: T_co | None = None
        """None until it has come to its end."""

    @property
    def has_heard(self) -> bool:
        """Return whether the server has said anything at all."""
        return self._taken > 0

    def feed(self, data: bytes) -> bool:
        """Take bytes; return whether there is nothing more to wait for. Raises `Malformed`, `NotTls`."""
        self._taken += len(data)
        if self._taken > MOST_BYTES:
            raise Malformed(f"more than {MOST_BYTES} bytes, and no end")
        try:
            words = self._conversation.send(data)
        except StopIteration as end:
            self.result = end.value
            return True
        except (IndexError, ValueError) as error:
            raise Malformed(f"lengths or values that make no sense ({error})") from error
        self.turns += bool(words)
        self.words += words
        return False

    def take_words(self) -> bytes:
        """Return what is to be said now, once."""
        words, self.words = self.words, b""
        return words


class Records:
    """Cuts what is heard into records (RFC 5246 §6.2.1)."""

    def __init__(self) -> None:
        self._buffer = b""

    def take(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the kind and the fragment of each record that is complete."""
        self._buffer += data
        while len(self._buffer) >= _HEADER:
            end = _HEADER + int.from_bytes(self._buffer[3:_HEADER], "big")
            if len(self._buffer) < end:
                return
            whole, self._buffer = self._buffer[:end], self._buffer[end:]
            yield whole[0], whole[_HEADER:]


def first_flight(hello: bytes, keys: Keys) -> Conversation[Flight]:
    """Say hello, and return the server's first flight."""
    flight = Flight(hello, keys)
    data = yield hello
    while not flight.feed(data):
        data = yield b""
    return flight


def record(kind: int, version: int, fragment: bytes) -> bytes:
    """Return one record."""
    return bytes([kind]) + version.to_bytes(2, "big") + len(fragment).to_bytes(2, "big") + fragment
