"""Syslog over TLS (RFC 5425): what a SIEM collects.

Syslog knows no acknowledgement: that the receiver has taken the connection, read all of it and closed it in order is all
that can be known.
"""

import asyncio
import json
import socket
import ssl
from datetime import datetime
from typing import ClassVar, Self

import anyio
from pydantic import Field, SecretStr

from services.notifier.connectors import Delivered, Later, Network, Paced, Part, Progress, Sent
from services.notifier.connectors.dial import dial
from services.notifier.connectors.siem import Format, cef, ocsf
from services.notifier.connectors.siem.rfc5424 import framed, message
from services.notifier.connectors.snmp.mib import DOCUMENTATION
from services.notifier.connectors.trust import trusting, trusting_apart
from services.notifier.domain.notices import Notice
from services.notifier.domain.text import clean
from shared.errors import Fault, Invalid
from shared.tls import load_identity

VERSION = "1"
"""Of what our events say, and not of the program: rules of a SIEM go by it."""
_PATIENCE = 20.0
_GOODBYE = 3.0
_MOST_WORDS = 300


class Options(Paced):
    """The receiver, and how a notice is written down for it."""

    host: str = Field(pattern=r"^[A-Za-z0-9.:-]{1,253}$", examples=["siem.example.test"])
    port: int = Field(6514, ge=1, le=65535)
    format: Format = Format.SYSLOG
    facility: int = Field(16, ge=0, le=23)
    """RFC 5424 §6.2.1; 16 is local0."""
    enterprise: int = Field(DOCUMENTATION, ge=1, le=2**32 - 1)
    """Your private enterprise number, which names the structured data; 32473 is the one for documentation."""
    ca_pem: str | None = Field(None, max_length=100_000)
    """Trust only these certificate authorities (PEM); by default, those the system trusts."""


class Secrets(Part):
    """A client certificate, where the receiver asks for one (RFC 5425 §4.2.1)."""

    certificate_pem: SecretStr | None = Field(None, max_length=100_000)
    private_key_pem: SecretStr | None = Field(None, max_length=100_000)


class Syslog:
    """A receiver of syslog over TLS."""

    kind: ClassVar[str] = "syslog"
    summary: ClassVar[str] = "Syslog over TLS: RFC 5424, CEF or OCSF."
    options_type: ClassVar[type[Part]] = Options
    secrets_type: ClassVar[type[Part]] = Secrets
    secrets_go_by: ClassVar[frozenset[str]] = frozenset({"host", "port", "ca_pem"})

    def __init__(self, options: Options, *, tls: ssl.SSLContext, network: Network) -> None:
        self._options = options
        self._tls = tls
        self._network = network

    @classmethod
    def open(cls, options: Options, *, secrets: Secrets, network: Network) -> Self:
        """Prepare the channel. Raises `Invalid` where CA, certificate or key cannot be used."""
        certificate, key = secrets.certificate_pem, secrets.private_key_pem
        if (certificate is None) != (key is None):
            raise Invalid(
                "A client certificate and its key come together or not at all.",
                next_step="Send secrets.certificate_pem and secrets.private_key_pem, or leave out both.",
                faults=[Fault(pointer="/body/secrets", message="one without the other")],
            )
        tls = trusting(options.ca_pem, otherwise=network.tls)
        if certificate is not None and key is not None:
            tls = trusting_apart(options.ca_pem)
            load_identity(tls, certificate=certificate.get_secret_value(), key=key.get_secret_value())
        return cls(options, tls=tls, network=network)

    async def send(self, notice: Notice, *, progress: Progress, now: datetime) -> Sent:  # noqa: ARG002 - the message bears the alert's time
        """Hand the message over on a connection of its own."""
        content = message(
            notice,
            host=socket.gethostname(),
            facility=self._options.facility,
            body=self._body(notice),
            enterprise=self._options.enterprise,
        )
        try:
            with anyio.fail_after(_PATIENCE):
                await self._hand_over(framed(content))
        except (ssl.SSLError, OSError) as error:
            reason = str(error) or f"No connection within {_PATIENCE:g} s."
            return Later(
                reason=clean(f"{type(error).__name__}: {reason}", most=_MOST_WORDS), progress=progress
            )
        return Delivered(answer="Handed over; syslog is never acknowledged.", progress=progress)

    def _body(self, notice: Notice) -> str | None:
        match self._options.format:
            case Format.SYSLOG:
                return None
            case Format.CEF:
                return cef.line(notice, version=VERSION)
            case Format.OCSF:
                return json.dumps(ocsf.finding(notice, version=VERSION), separators=(",", ":"))

    async def _hand_over(self, content: bytes) -> None:
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
            writer.write(content)
            await writer.drain()
            # A receiver that does not want us says so now, as TLS 1.3 tells it after the handshake.
            with anyio.move_on_after(_GOODBYE / 10):
                await reader.read(1)
        finally:
            writer.close()
            with anyio.move_on_after(_GOODBYE, shield=True):
                await writer.wait_closed()
