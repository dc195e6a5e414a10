"""Syslog over TLS (RFC 5425): what a SIEM collects."""

import json
import socket
import ssl
from datetime import datetime
from typing import ClassVar, Self

from pydantic import Field, SecretStr

from services.notifier.connectors import Delivered, Later, Network, Paced, Part, Progress, Sent
from services.notifier.connectors.siem import Format, cef, ocsf
from services.notifier.connectors.siem.rfc5424 import message
from services.notifier.connectors.snmp.mib import DOCUMENTATION
from services.notifier.connectors.stream import framed, hand_over
from services.notifier.connectors.trust import trusting, trusting_apart
from services.notifier.domain.notices import Notice
from shared.errors import Fault, Invalid, Unavailable
from shared.tls import load_identity

VERSION = "1"
"""Of what our events say, and not of the program: rules of a SIEM go by it."""


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
        options = self._options
        try:
            await hand_over(
                framed(content),
                host=options.host,
                port=options.port,
                tls=self._tls,
                policy=self._network.policy,
            )
        except Unavailable as error:
            return Later(reason=error.detail, progress=progress)
        return Delivered(answer="Handed over; syslog is never acknowledged.", progress=progress)

    def _body(self, notice: Notice) -> str | None:
        match self._options.format:
            case Format.SYSLOG:
                return None
            case Format.CEF:
                return cef.line(notice, version=VERSION)
            case Format.OCSF:
                return json.dumps(ocsf.finding(notice, version=VERSION), separators=(",", ":"))
