"""Events of ServiceNow's Event Management: it makes alerts of them by rules of its own.

"Send events via web service" of ServiceNow's documentation: `message_key` makes events of one alert one alert there;
severity 0 and the resolution state `Closing` clear it; `additional_info` is JSON as a string.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from services.notifier.connectors import Delivered, Network, Part, Progress, Sent
from services.notifier.connectors.servicenow.instance import (
    REDIRECTING,
    Instance,
    InstanceOptions,
    InstanceSecrets,
)
from services.notifier.connectors.web import outcome
from services.notifier.connectors.words import plain, short
from services.notifier.domain.notices import Notice, Turn
from shared.events.notifier import Severity

PATH = "/api/global/em/jsonv2"
_SEVERITIES = {Severity.CRITICAL: "1", Severity.ERROR: "2", Severity.WARNING: "4", Severity.INFO: "5"}
_CLEAR = "0"
_MOST_DESCRIPTION = 4000
_MOST_NAME = 100


class ServiceNowEvent:
    """The event collector of an instance."""

    kind: ClassVar[str] = "servicenow-event"
    summary: ClassVar[str] = "An event for ServiceNow's Event Management (em_event)."
    options_type: ClassVar[type[Part]] = InstanceOptions
    secrets_type: ClassVar[type[Part]] = InstanceSecrets
    secrets_go_by: ClassVar[frozenset[str]] = REDIRECTING

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    @classmethod
    def open(cls, options: InstanceOptions, *, secrets: InstanceSecrets, network: Network) -> Self:
        """Prepare the channel. Raises `Invalid` where it is not said who we are."""
        return cls(Instance.of(options, secrets, network=network))

    async def send(self, notice: Notice, *, progress: Progress, now: datetime) -> Sent:
        """Send the event that the turn is."""
        return await outcome(self._send(notice, now=now), progress=progress)

    async def _send(self, notice: Notice, *, now: datetime) -> Delivered:
        session = await self._instance.signed_in(now=now)
        status = await session.post(PATH, {"records": list(records(notice))})
        return Delivered(answer=f"HTTP {status}")


def records(notice: Notice) -> Iterator[dict[str, Any]]:
    """Yield the events of a notice: a test is cleared at once."""
    if notice.turn is not Turn.RESOLVED:
        yield _record(notice, severity=_SEVERITIES[notice.severity])
    if notice.turn in (Turn.RESOLVED, Turn.TEST):
        yield _record(notice, severity=_CLEAR)


def _record(notice: Notice, *, severity: str) -> dict[str, Any]:
    details = {"notice": notice.id, "link": notice.link, "fingerprint": notice.fingerprint}
    facts = {fact.label: "; ".join(fact.texts) for fact in notice.facts()}
    return {
        "source": "Everleaf",
        "event_class": "Everleaf",
        "node": next(iter(notice.details.names), "Everleaf"),
        "resource": short(notice, most=_MOST_NAME),
        "metric_name": notice.problem,
        "type": "certificate",
        "message_key": notice.alert_id,
        "severity": severity,
        "description": plain(notice)[:_MOST_DESCRIPTION],
        "additional_info": json.dumps({**details, **facts}),
        "time_of_event": f"{notice.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        "resolution_state": "Closing" if severity == _CLEAR else "New",
    }
