"""Every kind of channel there is."""

from collections.abc import Mapping
from typing import Any

from services.notifier.connectors import Addressable, Audience, Carrier, Channel, Gathered
from services.notifier.connectors.email import Email
from services.notifier.connectors.jira import Jira
from services.notifier.connectors.opsgenie import Opsgenie
from services.notifier.connectors.pagerduty import PagerDuty
from services.notifier.connectors.servicenow import ServiceNowChange, ServiceNowEvent, ServiceNowIncident
from services.notifier.connectors.siem.collector import Collector
from services.notifier.connectors.siem.syslog import Syslog
from services.notifier.connectors.slack import Slack, SlackBot
from services.notifier.connectors.snmp import Snmp
from services.notifier.connectors.teams import Teams
from services.notifier.connectors.webhook import Webhook
from services.notifier.domain.routing import Gathering
from shared.errors import Fault, Invalid

Kind = type[Channel[Any, Any]]

CHANNELS: tuple[Kind, ...] = (
    Email,
    Webhook,
    Snmp,
    ServiceNowIncident,
    ServiceNowChange,
    ServiceNowEvent,
    Jira,
    PagerDuty,
    Opsgenie,
    Slack,
    SlackBot,
    Teams,
    Syslog,
    Collector,
)


def channel_kind(name: str) -> Kind:
    """Return the kind of this name. Raises `Invalid` where there is none."""
    for kind in CHANNELS:
        if kind.kind == name:
            return kind
    known = ", ".join(kind.kind for kind in CHANNELS)
    raise Invalid(
        f"There is no kind of channel named {name!r}.",
        next_step=f"Choose one of: {known}.",
        faults=[Fault(pointer="/body/kind", message=f"not one of {known}")],
    )


def reaches(kind: Kind) -> str | None:
    """Return the kind of contact that a channel can tell beside its own recipients; None where it cannot."""
    return kind.reaches if isinstance(kind, Addressable) else None


def readdressed(kind: Kind, options: Mapping[str, Any], audience: Audience) -> Mapping[str, Any]:
    """Return options by which a channel tells this audience."""
    return kind.readdressed(options, audience) if isinstance(kind, Addressable) else options


def gathering(kind: Kind, options: Mapping[str, Any]) -> Gathering | None:
    """Return how many notices a channel for people takes alone, by its options; None for a machine, which wants each."""
    if not issubclass(kind.options_type, Gathered):
        return None
    bounds = Gathered.model_validate({name: options[name] for name in ("burst", "window") if name in options})
    return Gathering(burst=bounds.burst, window=bounds.window)


def takes_acknowledgements(kind: Kind) -> bool:
    """Return whether a channel goes on about an alert until it hears that somebody has taken it up."""
    takes: bool = getattr(kind, "takes_acknowledgements", False)
    return takes


def carries_letters(kind: Kind) -> bool:
    """Return whether a channel can carry a file to people."""
    return issubclass(kind, Carrier)
