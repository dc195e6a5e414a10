"""What renewal says, and what it does when others say something."""

from typing import Any

from services.renewal.actions.enrolments import Enrolments
from services.renewal.actions.revocations import Revocations
from services.renewal.actions.schedules import Schedules
from shared.approvals import Verdict
from shared.approvals.actions import Approvals, Words
from shared.clock import Clock
from shared.events import Event, Payload
from shared.events.audit import SAID_BY_ALL
from shared.events.inventory import (
    CertificateCompliant,
    CertificateExpiring,
    CertificateNoncompliant,
    CertificateReplaced,
    CertificateRevocationSeen,
    LineagesGrouped,
)
from shared.events.notifier import ApprovalGranted, ApprovalRefused
from shared.events.renewal import (
    ApprovalSettled,
    CampaignChanged,
    CertificateRenewed,
    CertificateRevoked,
    LineageEnrolled,
    LineageWithdrawn,
    RenewalAwaitingApproval,
    RenewalFailed,
    RequestWanted,
    RequestWithdrawn,
    RevocationConfirmed,
    RevocationFailed,
)
from shared.reactions import Reaction
from shared.store import Transaction

EMITS: tuple[type[Payload], ...] = (
    CampaignChanged,
    CertificateRenewed,
    LineageEnrolled,
    LineageWithdrawn,
    RenewalFailed,
    RequestWanted,
    RequestWithdrawn,
    RenewalAwaitingApproval,
    ApprovalSettled,
    CertificateRevoked,
    RevocationConfirmed,
    RevocationFailed,
    *SAID_BY_ALL,
)


WORDS = Words(asked=RenewalAwaitingApproval, settled=ApprovalSettled)
"""How approvals are told of."""


def reactions(
    enrolments: Enrolments,
    schedules: Schedules,
    approvals: Approvals,
    revocations: Revocations,
    *,
    clock: Clock,
) -> tuple[Reaction[Any], ...]:
    """Return the table of event and action."""

    async def expiring(tx: Transaction, event: Event[CertificateExpiring]) -> None:
        await enrolments.expiring(tx, event.data, now=clock())

    async def replaced(tx: Transaction, event: Event[CertificateReplaced]) -> None:
        await enrolments.replaced(tx, event.data, now=clock())
        await approvals.sweep(tx, event.data.lineage_id, now=clock())
        await revocations.replaced(tx, event.data, now=clock())

    async def grouped(tx: Transaction, event: Event[LineagesGrouped]) -> None:
        await enrolments.grouped(tx, event.data, at=event.time)

    async def revocation_seen(tx: Transaction, event: Event[CertificateRevocationSeen]) -> None:
        await schedules.revocation_seen(tx, event.data, now=clock())
        await revocations.seen(tx, event.data, now=clock())

    async def granted(tx: Transaction, event: Event[ApprovalGranted]) -> None:
        await approvals.heard(tx, event.data, verdict=Verdict.GRANT, now=clock())

    async def refused(tx: Transaction, event: Event[ApprovalRefused]) -> None:
        await approvals.heard(tx, event.data, verdict=Verdict.REFUSE, now=clock())

    async def noncompliant(tx: Transaction, event: Event[CertificateNoncompliant]) -> None:
        await schedules.noncompliant(tx, event.data, now=clock())

    async def compliant(tx: Transaction, event: Event[CertificateCompliant]) -> None:
        await schedules.compliant(tx, event.data, now=clock())

    return (
        Reaction(CertificateExpiring, expiring),
        Reaction(CertificateReplaced, replaced),
        Reaction(LineagesGrouped, grouped),
        Reaction(CertificateRevocationSeen, revocation_seen),
        Reaction(ApprovalGranted, granted),
        Reaction(ApprovalRefused, refused),
        Reaction(CertificateNoncompliant, noncompliant),
        Reaction(CertificateCompliant, compliant),
    )
