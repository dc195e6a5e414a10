"""The HTTP collector of a SIEM or a pipeline before it: one event a request, OCSF or CEF."""

import json
from datetime import datetime
from typing import ClassVar, Literal, Self

from pydantic import Field, SecretStr

from services.notifier.connectors import Delivered, Network, Paced, Part, Progress, Sent
from services.notifier.connectors.addresses import Url
from services.notifier.connectors.siem import Format, cef, ocsf
from services.notifier.connectors.siem.syslog import VERSION
from services.notifier.connectors.trust import trusting
from services.notifier.connectors.web import Api, outcome
from services.notifier.domain.notices import Notice


class Options(Paced):
    """Where events go, and how they are written down."""

    url: Url = Field(examples=["https://siem.example.test:8088/services/collector/raw"])
    format: Literal[Format.OCSF, Format.CEF] = Format.OCSF
    header: str = Field("Authorization", pattern=r"^[A-Za-z][A-Za-z0-9-]{0,60}$")
    """The header that the credential goes in."""
    ca_pem: str | None = Field(None, max_length=100_000)
    """Trust only these certificate authorities (PEM); by default, those the system trusts."""


class Secrets(Part):
    """What is in the header, whole: `Splunk …`, `Bearer …`, `ApiKey …`."""

    credential: SecretStr = Field(min_length=1, max_length=4000)


class Collector:
    """A collector of events by HTTP."""

    kind: ClassVar[str] = "siem"
    summary: ClassVar[str] = "An event for a SIEM by HTTP: OCSF or CEF."
    options_type: ClassVar[type[Part]] = Options
    secrets_type: ClassVar[type[Part]] = Secrets
    secrets_go_by: ClassVar[frozenset[str]] = frozenset({"url", "ca_pem", "header"})

    def __init__(self, options: Options, *, api: Api) -> None:
        self._options = options
        self._api = api

    @classmethod
    def open(cls, options: Options, *, secrets: Secrets, network: Network) -> Self:
        """Prepare the channel. Raises `Invalid` where the CA is not PEM."""
        tls = trusting(options.ca_pem, otherwise=network.tls)
        headers = {options.header: secrets.credential.get_secret_value()}
        return cls(options, api=Api(name="The collector", network=network, tls=tls, headers=headers))

    async def send(self, notice: Notice, *, progress: Progress, now: datetime) -> Sent:
        """Post the event."""
        return await outcome(self._send(notice, now=now), progress=progress)

    async def _send(self, notice: Notice, *, now: datetime) -> Delivered:
        if self._options.format is Format.CEF:
            kind, text = "text/plain; charset=utf-8", cef.line(notice, version=VERSION)
        else:
            kind, text = "application/json", json.dumps(ocsf.finding(notice, version=VERSION))
        answer = await self._api.ask(
            "POST", self._options.url, now=now, headers={"Content-Type": kind}, content=text.encode()
        )
        return Delivered(answer=f"HTTP {answer.status}")
