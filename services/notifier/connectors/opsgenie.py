"""Opsgenie, Jira Service Management and what else has taken up the same alert API.

"Alert API" of Opsgenie's documentation: `alias` makes requests about one alert one alert, so a repeated request adds to
a count and opens nothing. Jira Service Management takes the same at `https://api.atlassian.com/jsm/ops/integration`.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, ClassVar, Self
from urllib.parse import quote

from pydantic import Field, SecretStr

from services.notifier.connectors import Delivered, Network, Paced, Part, Progress, Sent
from services.notifier.connectors.addresses import Url
from services.notifier.connectors.trust import trusting
from services.notifier.connectors.web import Api, Method, outcome
from services.notifier.connectors.words import plain, short
from services.notifier.domain.notices import Notice, Turn
from shared.events.notifier import Severity

_MOST_MESSAGE = 130
_MOST_DESCRIPTION = 15_000
_PRIORITIES = {Severity.CRITICAL: "P1", Severity.ERROR: "P2", Severity.WARNING: "P3", Severity.INFO: "P5"}


class Options(Paced):
    """Where the alerts go, and to whom there."""

    url: Url = Field("https://api.opsgenie.com", examples=["https://api.eu.opsgenie.com"])
    teams: list[str] = Field(default_factory=list, max_length=50)
    """Names of teams that are to respond; by default, as the integration has it."""
    tags: list[str] = Field(default_factory=lambda: ["everleaf"], max_length=20)
    ca_pem: str | None = Field(None, max_length=100_000)
    """Trust only these certificate authorities (PEM); by default, those the system trusts."""


class Secrets(Part):
    """The key of an API integration."""

    api_key: SecretStr = Field(min_length=1, max_length=200)


class Opsgenie:
    """An integration that alerts are made by."""

    kind: ClassVar[str] = "opsgenie"
    summary: ClassVar[str] = "An alert in Opsgenie, Jira Service Management, or what speaks the same."
    options_type: ClassVar[type[Part]] = Options
    secrets_type: ClassVar[type[Part]] = Secrets
    secrets_go_by: ClassVar[frozenset[str]] = frozenset({"url", "ca_pem"})
    takes_acknowledgements: ClassVar[bool] = True

    def __init__(self, options: Options, *, api: Api) -> None:
        self._options = options
        self._api = api

    @classmethod
    def open(cls, options: Options, *, secrets: Secrets, network: Network) -> Self:
        """Prepare the channel. Raises `Invalid` where the CA is not PEM."""
        tls = trusting(options.ca_pem, otherwise=network.tls)
        headers = {"Authorization": f"GenieKey {secrets.api_key.get_secret_value()}"}
        return cls(options, api=Api(name="The alert API", network=network, tls=tls, headers=headers))

    async def send(self, notice: Notice, *, progress: Progress, now: datetime) -> Sent:
        """Make the requests that the turn is."""
        return await outcome(self._send(notice, now=now), progress=progress)

    async def _send(self, notice: Notice, *, now: datetime) -> Delivered:
        root = f"{self._options.url.rstrip('/')}/v2/alerts"
        for method, path, document in self._requests(notice):
            answer = await self._api.ask(method, root + path, now=now, json=document)
        return Delivered(answer=f"HTTP {answer.status}")

    def _requests(self, notice: Notice) -> Iterator[tuple[Method, str, dict[str, Any]]]:
        said = {"source": "Everleaf", "user": "Everleaf", "note": f"{notice.headline} (notice {notice.id})"}
        match notice.turn:
            case Turn.RESOLVED:
                yield "POST", _of(notice, "close"), said
            case Turn.ACKNOWLEDGED:
                yield "POST", _of(notice, "acknowledge"), said
            case Turn.TEST:
                yield "POST", "", self._alert(notice)
                # A test is over at once: nobody is to be got out of bed by it.
                yield "POST", _of(notice, "close"), said
            case Turn.RAISED:
                yield "POST", "", self._alert(notice)
                # Of an alert that is open, a repeated request changes the count alone.
                yield "PUT", _of(notice, "priority"), {"priority": _PRIORITIES[notice.severity]}
            case _:
                yield "POST", "", self._alert(notice)

    def _alert(self, notice: Notice) -> dict[str, Any]:
        responders: Sequence[dict[str, str]] = [
            {"type": "team", "name": each} for each in self._options.teams
        ]
        return {
            "message": short(notice, most=_MOST_MESSAGE),
            "alias": notice.alert_id,
            "description": plain(notice)[:_MOST_DESCRIPTION],
            "priority": _PRIORITIES[notice.severity],
            "source": "Everleaf",
            "entity": next(iter(notice.details.names), ""),
            "tags": [*self._options.tags, notice.problem],
            "details": {"notice": notice.id, "problem": notice.problem, "link": notice.link or ""},
            **({"responders": responders} if responders else {}),
        }


def _of(notice: Notice, what: str) -> str:
    return f"/{quote(notice.alert_id, safe='')}/{what}?identifierType=alias"
