"""What the notifier says: a problem has an alert, or is seen to be over."""

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
