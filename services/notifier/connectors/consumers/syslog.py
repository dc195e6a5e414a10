"""Hands entries of the audit trail to a SIEM by syslog over TLS (RFC 5425)."""

import socket
import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from pydantic import Field

from services.notifier.connectors import Network, Part
from services.notifier.connectors.consumers import Item, NotTaken
from services.notifier.connectors.consumers.formats import message
from services.notifier.connectors.siem import Format
from services.notifier.connectors.stream import framed, hand_over
from services.notifier.connectors.trust import trusting
from shared.errors import Unavailable


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
        options = self._options
        try:
            await hand_over(
                content, host=options.host, port=options.port, tls=self._tls, policy=self._network.policy
            )
        except Unavailable as error:
            raise NotTaken(error.detail) from error
