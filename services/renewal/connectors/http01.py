"""Answers http-01 challenges (RFC 8555 §8.3), and nothing else: a listener small enough for port 80."""

import re
from collections.abc import Awaitable, Callable

import anyio
import anyio.abc
import structlog

from shared.errors import Unavailable

log = structlog.get_logger(__name__)

Find = Callable[[str], Awaitable[str | None]]
_ASKED = re.compile(
    rb"(?:GET|HEAD) (?:http://[^/ ]+)?/\.well-known/acme-challenge/([A-Za-z0-9_-]{1,200}) HTTP/1\.[01]\r\n"
)
_LARGEST = 8192
_TIMEOUT = 10
_AT_ONCE = 100


class Listener:
    """Answers for the tokens that `find` knows."""

    def __init__(self, host: str, port: int, *, find: Find) -> None:
        self._host = host
        self._port = port
        self._find = find
        self._room = anyio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Answer until cancelled. Raises `Unavailable` where the port is taken."""
        try:
            listener = await anyio.create_tcp_listener(
                local_host=self._host, local_port=self._port, reuse_port=False
            )
        except OSError as error:
            raise Unavailable(
                f"The http-01 listener cannot be at {self._host}:{self._port} ({error.strerror}).",
                next_step="Set EVERLEAF_RENEWAL_HTTP01_LISTEN to a free port this process may open.",
            ) from error
        async with listener:
            await listener.serve(self._serve)

    async def _serve(self, stream: anyio.abc.SocketStream) -> None:
        async with stream, self._room:
            try:
                with anyio.move_on_after(_TIMEOUT):
                    await stream.send(await self._answer(await _head(stream)))
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
                return
            except Exception as error:  # one bad connection must not end the listener
                log.warning("http01.failed", exc_info=error)

    async def _answer(self, head: bytes) -> bytes:
        asked = _ASKED.match(head)
        text = await self._find(asked[1].decode()) if asked else None
        status, body = (b"404 Not Found", b"") if text is None else (b"200 OK", text.encode())
        lines = [
            b"HTTP/1.1 " + status,
            b"Content-Type: application/octet-stream",
            b"Content-Length: %d" % len(body),
            b"Connection: close",
        ]
        return b"\r\n".join(lines) + b"\r\n\r\n" + (b"" if head.startswith(b"HEAD ") else body)


async def _head(stream: anyio.abc.SocketStream) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _LARGEST:
        head += await stream.receive(_LARGEST)
    return head
