"""Listens where an authority looks for the answer to a challenge: one connection, one answer, and no more."""

import ssl
from collections.abc import Awaitable, Callable

import anyio
import anyio.abc
import structlog

from shared.errors import Unavailable

log = structlog.get_logger(__name__)

Find = Callable[[str], Awaitable[str | None]]
"""From what an authority asks for to what it is to be shown; None where it is nothing of ours."""
_TIMEOUT = 10
_AT_ONCE = 100
_LOST = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, ssl.SSLError)
"""Whoever asked has gone, or never meant to ask: anybody may connect to a public port."""


async def answer_each(
    host: str, port: int, *, challenge: str, answer: Callable[[anyio.abc.SocketStream], Awaitable[None]]
) -> None:
    """Answer each connection until cancelled, some seconds for each. Raises `Unavailable` where the port is taken.

    `challenge` is its kind as RFC 8555 and RFC 8737 write it, `http-01` say.
    """
    room = anyio.Semaphore(_AT_ONCE)

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream, room:
            try:
                with anyio.move_on_after(_TIMEOUT):
                    await answer(stream)
            except _LOST:
                return
            except Exception as error:  # one bad connection must not end the listener
                log.warning("challenge.failed", challenge=challenge, exc_info=error)

    try:
        listener = await anyio.create_tcp_listener(local_host=host, local_port=port, reuse_port=False)
    except OSError as error:
        setting = f"EVERLEAF_RENEWAL_{challenge.upper().replace('-01', '01').replace('-', '_')}_LISTEN"
        raise Unavailable(
            f"The {challenge} listener cannot be at {host}:{port} ({error.strerror}).",
            next_step=f"Set {setting} to a free port this process may open.",
        ) from error
    async with listener:
        await listener.serve(serve)
