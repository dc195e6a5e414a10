"""Syslog messages over TLS (RFC 5425), to a SIEM that collects them.

Syslog knows no acknowledgement: that the receiver has taken the connection, read all of it and closed it in order is all
that can be known.
"""

import asyncio
import ssl

import anyio

from services.notifier.connectors.dial import dial
from services.notifier.domain.text import clean
from shared.errors import Unavailable
from shared.outbound import Policy

_PATIENCE = 20.0
_GOODBYE = 3.0
_MOST_WORDS = 300


def framed(content: bytes) -> bytes:
    """Return a message as it goes over the stream: its length in front (§4.3)."""
    return b"%d %b" % (len(content), content)


async def hand_over(content: bytes, *, host: str, port: int, tls: ssl.SSLContext, policy: Policy) -> None:
    """Send messages on a connection of their own. Raises `Unavailable` with what has gone wrong."""
    try:
        with anyio.fail_after(_PATIENCE):
            await _hand_over(content, host=host, port=port, tls=tls, policy=policy)
    except (ssl.SSLError, OSError) as error:
        reason = str(error) or f"No connection within {_PATIENCE:g} s."
        raise Unavailable(
            clean(f"{type(error).__name__}: {reason}", most=_MOST_WORDS),
            next_step="Check that the receiver listens there, and whom it trusts.",
        ) from error


async def _hand_over(content: bytes, *, host: str, port: int, tls: ssl.SSLContext, policy: Policy) -> None:
    connection = await dial(host, port=port, policy=policy)
    try:
        reader, writer = await asyncio.open_connection(sock=connection, ssl=tls, server_hostname=host)
    except BaseException:
        connection.close()
        raise
    try:
        writer.write(content)
        await writer.drain()
        # A receiver that does not want us says so now, as TLS 1.3 tells it after the handshake.
        with anyio.move_on_after(_GOODBYE / 10):
            await reader.read(1)
    finally:
        writer.close()
        with anyio.move_on_after(_GOODBYE, shield=True):
            await writer.wait_closed()
