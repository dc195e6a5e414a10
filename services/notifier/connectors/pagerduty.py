"""PagerDuty, by its Events API v2: an alert there is triggered, acknowledged and resolved with ours.

"Send an Alert Event" of PagerDuty's developer documentation: `dedup_key` makes events of one alert one incident, so a
repeated event changes nothing; 202 is taken, 400 is never, 429 and 5xx are later.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar, Self

from pydantic import Field, SecretStr

from services.notifier.connectors import Delivered, Network, Paced, Part, Progress, Sent
from services.notifier.connectors.addresses import Url
from services.notifier.connectors.trust import trusting
from services.notifier.connectors.web import Api, outcome
from services.notifier.connectors.words import short
from services.notifier.domain.notices import Notice, Turn

_MOST_SUMMARY = 1024
_ACTIONS: dict[Turn, tuple[str, ...]] = {
    Turn.RESOLVED: ("resolve",),
    Turn.ACKNOWLEDGED: ("acknowledge",),
    # A test is over at once: nobody is to be got out of bed by it.
    Turn.TEST: ("trigger", "resolve"),
}


class Options(Paced):
    """Which PagerDuty: there is another in Europe."""

    url: Url = Field("https://events.pagerduty.com", examples=["https://events.eu.pagerduty.com"])
    ca_pem: str | None = Field(None, max_length=100_000)
    """Trust only these certificate authorities (PEM); by default, those the system trusts."""


class Secrets(Part):
    """The integration."""

    routing_key: SecretStr = Field(min_length=32, max_length=32)
    """The integration key of an Events API v2 integration."""


class PagerDuty:
    """A service in PagerDuty."""

    kind: ClassVar[str] = "pagerduty"
    summary: ClassVar[str] = "An incident in PagerDuty (Events API v2)."
    options_type: ClassVar[type[Part]] = Options
    secrets_type: ClassVar[type[Part]] = Secrets
    secrets_go_by: ClassVar[frozenset[str]] = frozenset({"url", "ca_pem"})
    takes_acknowledgements: ClassVar[bool] = True

    def __init__(self, options: Options, *, routing_key: SecretStr, api: Api) -> None:
        self._url = f"{options.url.rstrip('/')}/v2/enqueue"
        self._routing_key = routing_key
        self._api = api

    @classmethod
    def open(cls, options: Options, *, secrets: Secrets, network: Network) -> Self:
        """Prepare the channel. Raises `Invalid` where the CA is not PEM."""
        tls = trusting(options.ca_pem, otherwise=network.tls)
        api = Api(name="PagerDuty", network=network, tls=tls, headers={})
        return cls(options, routing_key=secrets.routing_key, api=api)

    async def send(self, notice: Notice, *, progress: Progress, now: datetime) -> Sent:
        """Send the events that the turn is."""
        return await outcome(self._send(notice, now=now), progress=progress)

    async def _send(self, notice: Notice, *, now: datetime) -> Delivered:
        for action in _ACTIONS.get(notice.turn, ("trigger",)):
            event = {"routing_key": self._routing_key.get_secret_value(), **_event(notice, action)}
            answer = await self._api.ask("POST", self._url, now=now, json=event)
        return Delivered(answer=f"HTTP {answer.status}")


def _event(notice: Notice, action: str) -> dict[str, Any]:
    event = {"event_action": action, "dedup_key": notice.alert_id}
    if action != "trigger":
        return event
    payload = {
        "summary": short(notice, most=_MOST_SUMMARY),
        "source": next(iter(notice.details.names), "Everleaf"),
        "severity": notice.severity,
        "timestamp": notice.at.isoformat(),
        "class": notice.problem,
        "component": "certificate",
        "custom_details": dict(_details(notice)),
    }
    links = [{"href": notice.link, "text": "Open it in Everleaf"}] if notice.link else []
    return {**event, "client": "Everleaf", "payload": payload, "links": links}


def _details(notice: Notice) -> Iterator[tuple[str, str]]:
    yield "Notice", notice.id
    for fact in notice.facts():
        yield fact.label, "\n".join(fact.texts)
