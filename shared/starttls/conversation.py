"""What every dialogue is made of: bounded reading of whatever arrives, and the ways it may end.

No input or output happens here. What a server sends beyond the answer that was waited for is dropped when
the dialogue ends, as RFC 3207 §4.2 and its kin ask: whatever came before TLS must not count after it.
"""

from collections.abc import Generator
from typing import Protocol, TypeVar

MOST_BYTES = 64 * 1024
MOST_LINES = 100
MOST_WORDS = 200
"""Characters of a server's own words that an error keeps."""
OUR_NAME = b"everleaf.invalid"
"""Who we say we are; a name that can never be anybody's (RFC 6761 §6.4)."""

T = TypeVar("T")
Step = Generator[bytes, bytes, T]
"""Yields what to send, is sent what has arrived, returns what was read."""


class Framing(Protocol):
    """How TLS travels between the dialogue's end and the end of the TLS handshake; kept per connection."""

    def wrap(self, data: bytes) -> bytes:
        """Return what to send for these TLS bytes."""
        ...

    def unwrap(self, data: bytes) -> bytes:
        """Return the TLS bytes that are complete, and keep the rest. Raises `OtherProtocol` for any other framing."""
        ...


Dialogue = Generator[bytes, bytes, Framing | None]
"""Yields what to send (b"" to only wait), is sent what has arrived (never b""), and returns when the next
bytes we send may be the ClientHello; through the framing, where there is one."""


class Refused(Exception):
    """The server speaks the protocol and will not start TLS; the text is the reason, in its own words."""

    def __init__(self, reason: bytes | str) -> None:
        super().__init__(printable(reason) or "no reason given")


class OtherProtocol(Exception):
    """The answer is not this protocol, or breaks the bounds."""

    def __init__(self, reason: bytes | str) -> None:
        super().__init__(printable(reason))


class Conversation:
    """One connection's bytes: what is still to be sent, and what came and has not been read."""

    def __init__(self) -> None:
        self._outgoing = b""
        self._buffer = bytearray()
        self._taken = 0
        self._lines = 0

    @property
    def has_more(self) -> bool:
        """Say whether something came that was not read."""
        return bool(self._buffer)

    def say(self, data: bytes) -> None:
        """Send this before the next reading, which then waits for something new to arrive."""
        self._outgoing += data

    def line(self) -> Step[bytes]:
        """Read one line; it comes without its end, CRLF or LF. Raises `OtherProtocol` beyond the bounds."""
        line = yield from self.until(b"\n")
        self._lines += 1
        if self._lines > MOST_LINES:
            raise OtherProtocol(f"more than {MOST_LINES} lines")
        return line[:-1].removesuffix(b"\r")

    def until(self, end: bytes) -> Step[bytes]:
        """Read up to this byte, and it too. Raises `OtherProtocol` beyond the bounds."""
        yield from self._flush()
        searched = 0  # no byte is looked at twice, however small the pieces are that arrive
        while (found := self._buffer.find(end, searched)) < 0:
            searched = len(self._buffer)
            yield from self._more()
        return self._cut(found + 1)

    def exactly(self, count: int) -> Step[bytes]:
        """Read so many bytes. Raises `OtherProtocol` beyond the bounds."""
        yield from self.peek(count)
        return self._cut(count)

    def peek(self, count: int) -> Step[bytes]:
        """Read so many bytes, and leave them to be read again. Raises `OtherProtocol` beyond the bounds."""
        yield from self._flush()
        if count > MOST_BYTES:
            raise OtherProtocol(f"an answer of {count} bytes")
        while len(self._buffer) < count:
            yield from self._more()
        return bytes(self._buffer[:count])

    def _cut(self, count: int) -> bytes:
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _flush(self) -> Step[None]:
        if self._outgoing:
            outgoing, self._outgoing = self._outgoing, b""
            self._take((yield outgoing))

    def _more(self) -> Step[None]:
        self._take((yield b""))

    def _take(self, data: bytes) -> None:
        self._taken += len(data)
        if self._taken > MOST_BYTES:
            raise OtherProtocol(f"more than {MOST_BYTES} bytes")
        self._buffer += data


def printable(text: bytes | str) -> str:
    """Return text that can be shown anywhere: one line, no control characters, at most `MOST_WORDS` long."""
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    shown = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * MOST_WORDS])
    return " ".join(shown.split())[:MOST_WORDS].rstrip()
