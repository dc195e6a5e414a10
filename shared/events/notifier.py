"""What the notifier says: a problem has an alert, or is seen to be over; and what was decided outside."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from shared.events import Payload


class Severity(StrEnum):
    """How bad it is, least bad first."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class AlertOpened(Payload):
    """A problem was told for the first time, or has become more severe."""

    type: ClassVar[str] = "alert.opened"

    alert_id: str
    lineage_id: str | None
    problem: str
    severity: Severity
    summary: str
    opened_at: datetime

    def subject(self) -> str:
        """Return the alert's id."""
        return self.alert_id


class AlertResolved(Payload):
    """A problem was observed to be over."""

    type: ClassVar[str] = "alert.resolved"

    alert_id: str
    lineage_id: str | None
    problem: str
    reason: str
    resolved_at: datetime

    def subject(self) -> str:
        """Return the alert's id."""
        return self.alert_id


class _Decision(Payload):
    approval_id: str
    digest: str
    """What was decided on: the digest that `renewal.awaiting_approval` has told."""
    decided_by: str
    """The principal that the person is here."""
    name: str
    """What the person is called where they have decided."""
    roles: list[str]
    """Those that their word counts with."""
    groups: list[str]
    """The groups that the one who passes it on may speak for; empty: all."""
    reason: str
    passed_on_by: str
    """The hook that it came by, for people."""
    decided_at: datetime

    def subject(self) -> str:
        """Return the approval's id."""
        return self.approval_id


class ApprovalGranted(_Decision):
    """Somebody has agreed, in a ticket or wherever else people decide. Whether that counts is for who has asked."""

    type: ClassVar[str] = "approval.granted"


class ApprovalRefused(_Decision):
    """Somebody has said no, in a ticket or wherever else people decide."""

    type: ClassVar[str] = "approval.refused"
