"""What services say of approvals, in the same words whatever it is that waits; each has types of its own for it."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from shared.events import Payload


class ApprovalOutcome(StrEnum):
    """What has come of an approval."""

    GRANTED = "granted"
    REFUSED = "refused"
    EXPIRED = "expired"
    VOID = "void"
    OVERRIDDEN = "overridden"


class Asked(Payload):
    """Something is done only when enough people have agreed to exactly this; said again as a reminder."""

    where: ClassVar[str]
    """The path at which it is decided."""

    approval_id: str
    kind: str
    """What waits: `order`, `revocation`, `rollout` …"""
    subject_id: str
    """Its id."""
    lineage_id: str
    digest: str
    """What a decision binds to: SHA-256 of what would be done, in lower-case hexadecimal."""
    names: list[str]
    summary: str
    """What would be done, in a sentence."""
    requested_by: str
    needed: int
    granted: int
    approver_groups: list[str]
    """Who decides: people in one of them; where there are none, in any."""
    asked_at: datetime
    expires_at: datetime
    reminder: int
    """0 when it is said first."""

    def subject(self) -> str:
        """Return the approval's id."""
        return self.approval_id


class Settled(Payload):
    """What was told to wait for an approval is over: decided, expired, void, or done without."""

    approval_id: str
    kind: str
    subject_id: str
    lineage_id: str
    digest: str
    outcome: ApprovalOutcome
    reason: str
    decided_by: list[str]
    """The principals whose word has counted."""
    settled_at: datetime

    def subject(self) -> str:
        """Return the approval's id."""
        return self.approval_id
