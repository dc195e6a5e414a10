"""What consumers may subscribe to, and which events are for whom."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from shared.events import Payload
from shared.events.discovery import ScanFinished, SourceFailed, SourceRecovered
from shared.events.inventory import (
    AuthorityCleared,
    AuthorityExpiring,
    CertificateCompliant,
    CertificateExpiring,
    CertificateNoncompliant,
    CertificateReplaced,
    CertificateRevocationSeen,
    CertificatesArrived,
    CertificatesOwned,
    CertificateStale,
    CertificatesUnowned,
    LineagesGrouped,
    PlaceFlawed,
    PlaceMended,
)
from shared.events.notifier import AlertOpened, AlertResolved
from shared.events.provisioner import CertificateDeployed, DeploymentFailed
from shared.events.renewal import (
    ApprovalSettled,
    CampaignChanged,
    CertificateRenewed,
    CertificateRevoked,
    LineageEnrolled,
    LineageWithdrawn,
    RenewalAwaitingApproval,
    RenewalFailed,
    RevocationConfirmed,
    RevocationFailed,
)

CONSUMABLE: tuple[type[Payload], ...] = (
    CertificatesArrived,
    LineagesGrouped,
    CertificateExpiring,
    CertificateStale,
    CertificateReplaced,
    CertificateRevocationSeen,
    CertificateNoncompliant,
    CertificateCompliant,
    CertificateRenewed,
    CertificateDeployed,
    CertificateRevoked,
    RenewalFailed,
    RenewalAwaitingApproval,
    ApprovalSettled,
    DeploymentFailed,
    RevocationConfirmed,
    RevocationFailed,
    LineageEnrolled,
    LineageWithdrawn,
    CampaignChanged,
    AuthorityExpiring,
    AuthorityCleared,
    CertificatesUnowned,
    CertificatesOwned,
    PlaceFlawed,
    PlaceMended,
    SourceFailed,
    SourceRecovered,
    ScanFinished,
    AlertOpened,
    AlertResolved,
)
"""What is kept for consumers. What was merely seen again is not: those are most of all events, and inventory has them."""


class Log(StrEnum):
    """What a subscription goes through."""

    EVENTS = "events"
    AUDIT = "audit"


class Way(StrEnum):
    """How a consumer gets what it has subscribed to."""

    POLL = "poll"
    """It asks, and waits for the answer."""
    WEBHOOK = "webhook"
    QUEUE = "queue"
    """A queue of its own on RabbitMQ."""
    SYSLOG = "syslog"
    """The audit trail alone: to a SIEM."""


class State(StrEnum):
    """Whether a subscription is served."""

    ACTIVE = "active"
    ENDED = "ended"
    """Its consumer wants no more (HTTP 410)."""


def groups_of(payload: Payload) -> list[str]:
    """Return the groups that an event itself says it is of."""
    if isinstance(payload, LineagesGrouped):
        return [payload.group_id]
    said = getattr(payload, "groups", None) or getattr(payload, "approver_groups", None) or []
    return sorted(str(each) for each in said)


def is_about(names: Sequence[str], data: Mapping[str, Any]) -> bool:
    """Return whether an event is about one of these DNS names, `*.example.com` among them; none ask for nothing."""
    if not names:
        return True
    told = [str(each).lower().rstrip(".") for each in data.get("names") or ()]
    return any(_fits(name.lower().rstrip("."), each) for name in names for each in told)


def _fits(wanted: str, name: str) -> bool:
    """Return whether a name is the one wanted, or below it where that begins with `*.`."""
    return name == wanted or (wanted.startswith("*.") and name.endswith(wanted[1:]))
