"""Kept clients: one connection for many messages, none for another's address or trust, and no memory of what was set."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.notifier.connectors import clients as module
from services.notifier.connectors.clients import Clients
from tests.notifier.workshop import LOOPBACK

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: session=1\r\n\r\nok"


class Counting:
    """A server that counts its connections and keeps the heads of requests."""

    def __init__(self) -> None:
        self.connections = 0
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        server.close()


async def test_a_connection_serves_many_messages_and_none_of_another_trust_or_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    one, other, kept = Counting(), Counting(), Clients(LOOPBACK)
    trust, another = ssl.create_default_context(), ssl.create_default_context()
    async with one.listening() as url, other.listening() as elsewhere:
        for _ in range(3):
            async with kept.to(url, tls=trust) as client:
                await client.get(url)
        assert (one.connections, len(one.heads)) == (1, 3)
        assert b"cookie" not in b"".join(one.heads).lower()
        async with kept.to(url, tls=another) as client:
            await client.get(url)
        assert one.connections == 2
        async with kept.to(elsewhere, tls=trust) as client:
            await client.get(elsewhere)
        async with kept.to(url, tls=trust) as client:
            await client.get(url)
        assert (one.connections, other.connections) == (3, 1), "of more than two the oldest was closed"
        await kept.close()
