"""Answers http-01 challenges (RFC 8555 §8.3), and nothing else: a listener small enough for port 80."""

import re

import anyio.abc

from services.renewal.connectors.listening import Find, answer_each

_ASKED = re.compile(
    rb"(?:GET|HEAD) (?:http://[^/ ]+)?/\.well-known/acme-challenge/([A-Za-z0-9_-]{1,200}) HTTP/1\.[01]\r\n"
)
_LARGEST = 8192


class Listener:
    """Answers for the tokens that `find` knows."""

    def __init__(self, host: str, port: int, *, find: Find) -> None:
        self._host = host
        self._port = port
        self._find = find

    async def run(self) -> None:
        """Answer until cancelled. Raises `Unavailable` where the port is taken."""
        await answer_each(self._host, self._port, challenge="http-01", answer=self._answer)

    async def _answer(self, stream: anyio.abc.SocketStream) -> None:
        await stream.send(await self._said(await _head(stream)))

    async def _said(self, head: bytes) -> bytes:
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
