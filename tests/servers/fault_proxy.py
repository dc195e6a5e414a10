"""A TCP proxy that fails on purpose: refuses, cuts after so many packets, goes silent, is slow."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

_NO_LINGER = struct.pack("ii", 1, 0)  # closing sends RST, as a machine that lost its state would
_TICK = 0.02
"""Seconds between two looks at whether to go on, and between two drops of what trickles."""


@dataclass(frozen=True, kw_only=True)
class Slowness:
    """A bad line: how long each packet is held, in seconds, and how many bytes pass in a second, each way of each connection."""

    latency: float
    rate: int


class FaultProxy:
    """Forwards connections from `port` to another port; how badly is set while it runs."""

    host = "127.0.0.1"

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.upstream = upstream
        self.port = 0
        self.refuse = False
        self.silent = False
        self.slow: Slowness | None = None
        self.hindered = 0
        """How many packets have met silence, or a slow line."""
        self.cut_after: int | None = None
        """Cut everything when this many more packets have come from clients; then go on as if nothing were."""
        self.call_after: tuple[int, Callable[[], object]] | None = None
        """Call something when so many more packets have come from clients."""
        self.packets = 0
        """How many packets have come from clients."""
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._handlers: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._forward, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and cut what is open."""
        if self._server is not None:
            self._server.close()
        self.cut()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    @property
    def connections(self) -> int:
        """How many ends of connections are open, a client's and a server's for each."""
        return len(self._writers)

    def cut(self) -> None:
        """Cut every connection."""
        for writer in list(self._writers):
            connection: socket.socket | None = writer.get_extra_info("socket")
            if connection is not None:
                with contextlib.suppress(OSError):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)
        self._writers.add(writer)
        if self.refuse:
            self.cut()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection(*self.upstream)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(up_writer)
        try:
            await asyncio.gather(
                self._pump(reader, up_writer, counts=True), self._pump(up_reader, writer, counts=False)
            )
        finally:
            self._writers -= {writer, up_writer}

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counts: bool
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if counts and self._is_the_last():
                    self.cut()
                    return
                self.hindered += self.silent or self.slow is not None
                while self.silent:
                    await asyncio.sleep(_TICK)
                if self.slow is not None:
                    await asyncio.sleep(self.slow.latency)
                await self._send(data, writer)
        writer.close()

    async def _send(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        """Send all at once, or drop by drop for as long as the line is slow."""
        while self.slow is not None and data:
            size = max(1, int(self.slow.rate * _TICK))
            writer.write(data[:size])
            await writer.drain()
            data = data[size:]
            await asyncio.sleep(_TICK)
        writer.write(data)
        await writer.drain()

    def _is_the_last(self) -> bool:
        self.packets += 1
        self._call()
        if self.cut_after is None:
            return False
        self.cut_after -= 1
        if self.cut_after > 0:
            return False
        self.cut_after = None
        return True

    def _call(self) -> None:
        if self.call_after is None:
            return
        left, call = self.call_after
        self.call_after = (left - 1, call)
        if left <= 1:
            self.call_after = None
            call()


StartFaultProxy = Callable[[str, int], AbstractAsyncContextManager[FaultProxy]]


@pytest.fixture
def fault_proxy() -> StartFaultProxy:
    """Put a proxy before a port: `async with fault_proxy(host, port) as proxy`."""

    @asynccontextmanager
    async def before(host: str, port: int) -> AsyncIterator[FaultProxy]:
        proxy = FaultProxy((host, port))
        await proxy.start()
        try:
            yield proxy
        finally:
            await proxy.stop()

    return before
