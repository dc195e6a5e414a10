"""A web server that records every request as it came and answers as the test scripts it; it verifies nothing.

It runs in a thread of its own, so that it answers even while the test's loop is busy.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from tests.servers.processes import free_port
from tests.servers.tls import LOOPBACK, CertificateAuthority


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request: the target as sent (path and query), header names in lower case, the raw body."""

    method: str
    path: str
    headers: httpx.Headers
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What to answer: after `delay`; or, with `hang_up`, to close the connection without a word."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: timedelta = timedelta()
    hang_up: bool = False


class Webhook:
    """A receiver at `url`; it gives `script` answer by answer, then `default` for ever."""

    def __init__(self, *, context: ssl.SSLContext | None = None) -> None:
        self.port = free_port()
        self.requests: list[Request] = []
        self.script: deque[Answer] = deque()
        self.default = Answer()
        self._context = context
        self._serving: _Serving | None = None

    @property
    def url(self) -> str:
        """The receiver's root, without a slash at the end."""
        return f"{'https' if self._context else 'http'}://localhost:{self.port}"

    def answer(self, *answers: Answer) -> None:
        """Script the answers to the next requests."""
        self.script.extend(answers)

    async def received(self, count: int, *, within: float = 60.0) -> list[Request]:
        """Return the requests once there are at least `count`; raise `TimeoutError` where there are not."""
        deadline = time.monotonic() + within
        while len(self.requests) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self.requests)} of {count} requests came in {within} s")
            await asyncio.sleep(0.005)
        return list(self.requests)

    def start(self) -> None:
        """Start listening, after a stop on the same port as before."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self._serving = _Serving(self._serve_one, listener=listener, context=self._context)

    def stop(self) -> None:
        """Stop listening and cut every connection: further ones are refused until the next start."""
        if self._serving is not None:
            self._serving.stop()
            self._serving = None

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        self.requests.append(await _read(reader))
        answer = self.script.popleft() if self.script else self.default
        await asyncio.sleep(answer.delay.total_seconds())
        if not answer.hang_up:
            writer.write(_bytes(answer))
            await writer.drain()
        return not answer.hang_up


ServeOne = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]
"""Serves one request; says whether another may follow on the connection."""


class _Serving:
    """The thread with the loop that serves a listening socket, until it is stopped."""

    def __init__(
        self, serve_one: ServeOne, *, listener: socket.socket, context: ssl.SSLContext | None
    ) -> None:
        self._serve_one = serve_one
        self._listener = listener
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="webhook")
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, sock=self._listener, ssl=self._context)
        await self._stopping.wait()
        server.close()
        await server.wait_closed()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await asyncio.sleep(0)  # the last transports close when the loop next turns

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._converse(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        # Also where the task was cancelled before it began.
        task.add_done_callback(lambda _: writer.transport.abort())

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._serve_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has left
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    pairs = [line.split(":", 1) for line in head[1:] if line]
    headers = httpx.Headers([(name, value.strip()) for name, value in pairs])
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method=method, path=path, headers=headers, body=body)


def _bytes(answer: Answer) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"content-length: {len(answer.body)}",
    ]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + answer.body


StartWebhook = Callable[..., Webhook]
"""Takes `tls=True` for https, with a certificate of the test authority."""


@pytest.fixture
def start_webhook(tmp_path: Path, lab_ca: CertificateAuthority) -> Iterator[StartWebhook]:
    """Start receivers: `start_webhook()` for http, `start_webhook(tls=True)` for https."""
    with contextlib.ExitStack() as running:

        def start(*, tls: bool = False) -> Webhook:
            context = lab_ca.issue(*LOOPBACK).server_context(tmp_path / "webhook") if tls else None
            server = Webhook(context=context)
            running.callback(server.stop)
            server.start()
            return server

        yield start


@pytest.fixture
def webhook(start_webhook: StartWebhook) -> Webhook:
    """One receiver over http for this test."""
    return start_webhook()
