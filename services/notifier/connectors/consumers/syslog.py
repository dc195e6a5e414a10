"""Hands entries of the audit trail to a SIEM by syslog over TLS (RFC 5425).

Syslog knows no acknowledgement: that the receiver has taken the connection, and all of it, is all that can be known.
"""

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self

import anyio
from pydantic import Field

from services.notifier.connectors import Network, Part
from services.notifier.connectors.consumers import Item, NotTaken
from services.notifier.connectors.consumers.formats import Format, framed, message
from services.notifier.connectors.dial import dial
from services.notifier.connectors.trust import trusting

_PATIENCE = 20.0
_GOODBYE = 3.0


class SyslogOptions(Part):
    """The receiver, and how an entry is written down for it."""

    host: str = Field(pattern=r"^[A-Za-z0-9.:-]{1,253}$", examples=["siem.example.test"])
    port: int = Field(6514, ge=1, le=65535)
    format: Format = Format.SYSLOG
    facility: int = Field(13, ge=0, le=23)
    """RFC 5424 §6.2.1; 13 is "log audit"."""
    ca_pem: str | None = Field(None, max_length=100_000)
    """Trust only these certificate authorities (PEM); by default, those the system trusts."""


class SyslogConsumer:
    """A receiver of syslog over TLS."""

    def __init__(self, options: SyslogOptions, *, tls: ssl.SSLContext, network: Network) -> None:
        self._options = options
        self._tls = tls
        self._network = network

    @classmethod
    def of(cls, options: Mapping[str, Any], *, network: Network) -> Self:
        """Prepare it by its options. Raises `Invalid` where the CA is not PEM."""
        read = SyslogOptions.model_validate(options)
        return cls(read, tls=trusting(read.ca_pem, otherwise=network.tls), network=network)

    async def hand(self, items: Sequence[Item], *, now: datetime) -> None:  # noqa: ARG002 - as the Protocol has it
        """Send all over one connection. Raises `NotTaken`."""
        form, facility, host = self._options.format, self._options.facility, socket.gethostname()
        content = b"".join(
            framed(message(item.body, form=form, host=host, facility=facility)) for item in items
        )
        try:
            with anyio.fail_after(_PATIENCE):
                await self._send(content)
        except (ssl.SSLError, OSError) as error:
            reason = str(error) or f"no connection within {_PATIENCE:g} s"
            raise NotTaken(f"{type(error).__name__}: {reason}") from error

    async def _send(self, content: bytes) -> None:
        options = self._options
        connection = await dial(options.host, port=options.port, policy=self._network.policy)
        try:
            reader, writer = await asyncio.open_connection(
                sock=connection, ssl=self._tls, server_hostname=options.host
            )
        except BaseException:
            connection.close()
            raise
        try:
            # A receiver that does not want us says so now, as TLS 1.3 tells it after the handshake.
            with anyio.move_on_after(_GOODBYE / 10):
                await reader.read(1)
            writer.write(content)
            await writer.drain()
        finally:
            writer.close()
            with anyio.move_on_after(_GOODBYE, shield=True):
                await writer.wait_closed()
