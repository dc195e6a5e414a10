"""An HTTP client that costs little itself: connections that stay open, requests as bytes, answers as bytes."""

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlencode

from bench.measure import NotMeasured

AT_ONCE = 8
"""Connections of a load."""
_END = b"\r\n\r\n"


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Whom to ask, and with which token."""

    port: int
    token: str = ""

    def get(self, path: str, **parameters: str | int) -> bytes:
        """Return a request as it goes over the wire."""
        target = f"{path}?{urlencode(parameters)}" if parameters else path
        bearer = f"Authorization: Bearer {self.token}\r\n" if self.token else ""
        return f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{bearer}\r\n".encode()


class Connection:
    """One connection, which asks one thing after another; it is opened anew where the server has closed it meanwhile."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect."""
        made = cls(port)
        await made._connect()
        return made

    async def _connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port, limit=64 * 1024 * 1024
        )

    async def ask(self, request: bytes) -> bytes:
        """Return the body of the answer. Raises `NotMeasured` where it is not 200."""
        if self._reader.at_eof():  # nobody asked for longer than the server waits
            self._writer.close()
            await self._connect()
        self._writer.write(request)
        head = (await self._reader.readuntil(_END)).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        if not head.startswith(b"http/1.1 200"):
            said = body[:300].decode(errors="replace")
            raise NotMeasured(f"{request.splitlines()[0].decode()}: {head.splitlines()[0].decode()} {said}")
        return body

    def close(self) -> None:
        """Close it."""
        self._writer.close()


async def load(port: int, requests: Sequence[bytes]) -> float:
    """Ask all of them over `AT_ONCE` connections, as fast as they are answered; return the seconds that took."""
    waiting = iter(requests)
    connections = [await Connection.open(port) for _ in range(AT_ONCE)]
    began = time.perf_counter()
    await asyncio.gather(*(_drain(each, waiting) for each in connections))
    took = time.perf_counter() - began
    for each in connections:
        each.close()
    return took


async def _drain(connection: Connection, waiting: Iterator[bytes]) -> None:
    for request in waiting:
        await connection.ask(request)


def cycled(requests: Sequence[bytes], count: int) -> list[bytes]:
    """Return so many requests, the given ones in turn."""
    return list(itertools.islice(itertools.cycle(requests), count))
