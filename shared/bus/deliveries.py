"""Deliveries of RabbitMQ, taken out of its stream of bytes many at a time.

A message comes as three frames (AMQP 0-9-1 §4.2.6), and aiormq makes objects of each and a task of the three: some ninety
microseconds for a few slices of a buffer that is there already. So what it reads from is a stream from which the deliveries
are gone. All else is left to it: the handshake, channels, heartbeats, and the end.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import Any, NamedTuple, cast

from aiormq import TransportFactory
from aiormq.connection import TCPTransportFactory, TLSTransportFactory
from pamqp.header import ContentHeader
from yarl import URL

from shared.bus import Delivery, Message, Reader, unread

LINGER = 0.01
"""Seconds a batch waits for more messages."""
_CHUNK = 256 * 1024
"""Octets that are read at once, as far as they are there."""
_METHOD, _HEADER, _BODY = 1, 2, 3
"""Kinds of frames (§4.2.3)."""
_FRAME_END = 0xCE
_FRAME_HEAD = Struct(">BHI")
"""Kind, channel, and how long the payload is; one octet follows that."""
_DELIVER = b"\x00\x3c\x00\x3c"
_LONG = Struct(">Q")
_HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"
AS_WE_SEND = b"\xb8\xa0"
"""The flags of a message with content type, headers, delivery mode, priority, id and type, and nothing else (§4.2.6.1)."""


class Arrived(NamedTuple):
    """A delivery, and the number by which it is acknowledged."""

    tag: int
    delivery: Delivery


class Arrivals:
    """What has arrived and nobody has taken yet. The prefetch of the channel bounds how much that is."""

    def __init__(self) -> None:
        self._waiting: deque[Arrived] = deque()
        self._bell = asyncio.Event()

    def put(self, arrived: Arrived) -> None:
        """Add a delivery."""
        self._waiting.append(arrived)
        self._bell.set()

    async def take(self, most: int, *, gone: "asyncio.Future[Any]") -> list[Arrived]:
        """Return the next ones, at least one. Raises `ConnectionError` where the channel is gone before."""
        await self._wait(gone)
        if len(self._waiting) == 1:
            await asyncio.sleep(LINGER)
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        if not self._waiting:
            self._bell.clear()
        return taken

    async def _wait(self, gone: "asyncio.Future[Any]") -> None:
        if not self._waiting and not gone.done():
            ring = asyncio.ensure_future(self._bell.wait())
            try:
                await asyncio.wait({ring, gone}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                ring.cancel()
        if gone.done():  # the broker delivers again what is still waiting here
            raise ConnectionError("the broker closed the channel")


class _Begun:
    """A delivery whose frames have not all come yet."""

    __slots__ = ("_header", "_parts", "_wanted", "channel", "route", "tag")

    def __init__(self, channel: int, method: bytes) -> None:
        # class, method, consumer tag, delivery tag, redelivered, exchange, routing key (§1.8.3.13)
        at = 5 + method[4]
        (self.tag,) = _LONG.unpack_from(method, at)
        at += 9
        at += 1 + method[at]
        self.channel = channel
        self.route = method[at + 1 : at + 1 + method[at]]
        self._header = b""
        self._wanted = 0
        self._parts: list[bytes] = []

    def head(self, header: bytes) -> bool:
        """Take the header; return whether nothing is to follow."""
        self._header = header
        (self._wanted,) = _LONG.unpack_from(header, 4)
        return self._wanted == 0

    def add(self, part: bytes) -> bool:
        """Take a piece of the body; return whether it was the last."""
        self._parts.append(part)
        self._wanted -= len(part)
        return self._wanted <= 0

    def arrived(self, reader: Reader) -> Arrived:
        """Return the whole."""
        id_, type_, attempt = _usual(self._header) or _unusual(self._header)
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        message = Message(id=id_, type=type_ or self.route.decode(), body=body)
        return Arrived(self.tag, Delivery(message=message, attempt=attempt, read=reader(message)))


class Sorter:
    """Takes deliveries out of a stream of frames, which comes in pieces of any length."""

    def __init__(self, put: Callable[[Arrived], None], reader: Reader = unread) -> None:
        self._put = put
        self._reader = reader
        self._rest = b""
        self._begun: _Begun | None = None

    def sort(self, data: bytes) -> bytes:
        """Take a piece of the stream; return the frames in it that are no deliveries."""
        data = self._rest + data if self._rest else data
        others = list[bytes]()
        at, has_delivered = 0, False
        while at + 8 <= len(data):
            kind, channel, size = _FRAME_HEAD.unpack_from(data, at)
            after = at + 8 + size
            if after > len(data):
                break
            is_whole = data[after - 1] == _FRAME_END
            if is_whole and self._is_delivery(kind, channel, data[at + 7 : after - 1]):
                has_delivered = True
            else:
                others.append(data[at:after])
            at = after
        self._rest = data[at:]
        if has_delivered:  # a sign of life like any other, which the client must not miss
            others.append(_HEARTBEAT)
        return b"".join(others)

    def unsorted(self) -> bytes:
        """Return what has come of a frame that does not end."""
        return self._rest

    def _is_delivery(self, kind: int, channel: int, payload: bytes) -> bool:
        if kind == _METHOD and payload.startswith(_DELIVER):
            self._begun = _Begun(channel, payload)
            return True
        begun = self._begun
        if begun is None or begun.channel != channel or kind not in (_HEADER, _BODY):
            return False
        if begun.head(payload) if kind == _HEADER else begun.add(payload):
            self._put(begun.arrived(self._reader))
            self._begun = None
        return True


def _usual(header: bytes) -> tuple[str, str, int] | None:
    """Return id, type and attempt of a message that comes for the first time as we send it; None where it is another."""
    if header[12:14] != AS_WE_SEND:
        return None
    at = 15 + header[14]  # behind the content type
    if header[at : at + 4] != b"\x00\x00\x00\x00":  # it has headers
        return None
    at += 6  # delivery mode and priority too
    end = at + 1 + header[at]
    return header[at + 1 : end].decode(), header[end + 1 : end + 1 + header[end]].decode(), 1


def _unusual(header: bytes) -> tuple[str, str, int]:
    read = ContentHeader()
    read.unmarshal(header)
    properties = read.properties
    attempts = int(str((properties.headers or {}).get("x-attempt", 0)))
    return properties.message_id or "", properties.message_type or "", attempts + 1


class SortingTransport(TransportFactory):
    """Connects as aiormq does, and sorts what comes."""

    def __init__(self, arrivals: Arrivals, reader: Reader) -> None:
        self._sorter = Sorter(arrivals.put, reader)

    async def create(self, url: URL, **given: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return the two directions of a new connection."""
        factory = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        stream, writer = await factory.create(url, limit=_CHUNK, **given)
        return cast(asyncio.StreamReader, _Sorted(stream, self._sorter)), writer


class _Sorted:
    """A stream without its deliveries, as far as aiormq asks one."""

    def __init__(self, stream: asyncio.StreamReader, sorter: Sorter) -> None:
        self._stream = stream
        self._sorter = sorter
        self._left = b""

    def at_eof(self) -> bool:
        """Return whether nothing is left and nothing will come."""
        return not self._left and self._stream.at_eof()

    async def readexactly(self, count: int) -> bytes:
        """Return so many octets. Raises `IncompleteReadError` where the stream ends before."""
        while len(self._left) < count:
            data = await self._stream.read(_CHUNK)
            if not data:
                raise asyncio.IncompleteReadError(self._left + self._sorter.unsorted(), count)
            self._left += self._sorter.sort(data)
        found, self._left = self._left[:count], self._left[count:]
        return found
