"""What the notifier says on the bus, and what it does on what the others say."""

from datetime import datetime
from typing import Any

from services.notifier.actions.alerts import Alerts
from services.notifier.domain.alerts import Replacement
from services.notifier.domain.approvals import approval_subject, end_of, of_awaiting
from services.notifier.domain.authorities import authority_subject, of_authority
from services.notifier.domain.compliance import of_noncompliance, policy_subject
from services.notifier.domain.evidence import (
    UNOWNED,
    display_name,
    of_expiring,
    of_failed_deployment,
    of_failed_renewal,
    of_failed_revocation,
    of_failed_source,
    of_revoked,
    of_stale,
    of_unowned,
    revocation_subject,
    source_subject,
)
from services.notifier.domain.flaws import flaw_subject, of_flaw
from services.notifier.domain.text import clean, instant
from shared.clock import Clock
from shared.events import Event, Payload
from shared.events.discovery import SourceFailed, SourceRecovered
from shared.events.inventory import (
    AuthorityCleared,
    AuthorityExpiring,
    CertificateCompliant,
    CertificateExpiring,
    CertificateNoncompliant,
    CertificateReplaced,
    CertificateRevocationSeen,
    CertificatesOwned,
    CertificateStale,
    CertificatesUnowned,
    LineagesGrouped,
    PlaceFlawed,
    PlaceMended,
)
from shared.events.notifier import AlertOpened, AlertResolved, ApprovalGranted, ApprovalRefused
from shared.events.provisioner import CertificateDeployed, DeploymentFailed
from shared.events.renewal import (
    ApprovalSettled,
    CertificateRenewed,
    CertificateRevoked,
    RenewalAwaitingApproval,
    RenewalFailed,
    RevocationConfirmed,
    RevocationFailed,
)
from shared.reactions import Reaction
from shared.store import Transaction

EMITS: tuple[type[Payload], ...] = (AlertOpened, AlertResolved, ApprovalGranted, ApprovalRefused)


def reactions(alerts: Alerts, *, clock: Clock) -> tuple[Reaction[Any], ...]:
    """Return the table of events and what is done on each."""
    handlers = Handlers(alerts, clock=clock)
    return (
        Reaction(CertificateExpiring, handlers.expiring),
        Reaction(CertificateStale, handlers.stale),
        Reaction(CertificateRevocationSeen, handlers.revoked),
        Reaction(CertificateReplaced, handlers.replaced),
        Reaction(RenewalFailed, handlers.renewal_failed),
        Reaction(DeploymentFailed, handlers.deployment_failed),
        Reaction(CertificateRenewed, handlers.renewed),
        Reaction(CertificateDeployed, handlers.deployed),
        Reaction(SourceFailed, handlers.source_failed),
        Reaction(SourceRecovered, handlers.source_recovered),
        Reaction(PlaceFlawed, handlers.flawed),
        Reaction(PlaceMended, handlers.mended),
        Reaction(LineagesGrouped, handlers.grouped),
        Reaction(CertificatesUnowned, handlers.unowned),
        Reaction(CertificatesOwned, handlers.owned),
        Reaction(AuthorityExpiring, handlers.authority_expiring),
        Reaction(AuthorityCleared, handlers.authority_cleared),
        Reaction(CertificateNoncompliant, handlers.noncompliant),
        Reaction(CertificateCompliant, handlers.compliant),
        Reaction(RenewalAwaitingApproval, handlers.awaiting_approval),
        Reaction(ApprovalSettled, handlers.approval_settled),
        Reaction(RevocationFailed, handlers.revocation_failed),
        Reaction(CertificateRevoked, handlers.revoked_by_us),
        Reaction(RevocationConfirmed, handlers.revocation_confirmed),
    )


class Handlers:
    """Turns events into evidence, observations and notes."""

    def __init__(self, alerts: Alerts, *, clock: Clock) -> None:
        self._alerts = alerts
        self._clock = clock

    async def expiring(self, tx: Transaction, event: Event[CertificateExpiring]) -> None:
        """Open or raise an alert, unless the time for renewal has only begun."""
        evidence = of_expiring(event.data, told_at=event.time)
        if evidence is not None:
            await self._alerts.tell(tx, evidence, now=self._clock())

    async def stale(self, tx: Transaction, event: Event[CertificateStale]) -> None:
        """Open an alert that names the places."""
        await self._alerts.tell(tx, of_stale(event.data), now=self._clock())

    async def revoked(self, tx: Transaction, event: Event[CertificateRevocationSeen]) -> None:
        """Open an alert: clients that ask refuse the certificate."""
        await self._alerts.tell(tx, of_revoked(event.data), now=self._clock())

    async def renewal_failed(self, tx: Transaction, event: Event[RenewalFailed]) -> None:
        """Open or raise an alert."""
        await self._alerts.begun(tx, event.data.lineage_id, event.data.groups, at=event.time)
        evidence = of_failed_renewal(event.data, told_at=event.time)
        await self._alerts.tell(tx, evidence, now=self._clock())

    async def deployment_failed(self, tx: Transaction, event: Event[DeploymentFailed]) -> None:
        """Open or raise an alert."""
        evidence = of_failed_deployment(event.data, told_at=event.time)
        await self._alerts.tell(tx, evidence, now=self._clock())

    async def replaced(self, tx: Transaction, event: Event[CertificateReplaced]) -> None:
        """Resolve: this is the observation that ends problems, and the only one."""
        data = event.data
        replacement = Replacement(
            subject=data.lineage_id,
            outgoing=data.old_fingerprint,
            fingerprint=data.fingerprint,
            observed_at=data.observed_at,
        )
        reason = f"The certificate {data.fingerprint} was seen at every place of the old one."
        await self._alerts.end(tx, replacement, reason=reason, now=self._clock())

    async def source_failed(self, tx: Transaction, event: Event[SourceFailed]) -> None:
        """Open an alert: what is there is not known any more."""
        subject = source_subject(event.data.source_id)
        await self._alerts.in_groups(tx, subject, event.data.groups, at=event.time)
        await self._alerts.tell(tx, of_failed_source(event.data), now=self._clock())

    async def source_recovered(self, tx: Transaction, event: Event[SourceRecovered]) -> None:
        """Resolve it."""
        data = event.data
        end = Replacement(
            subject=source_subject(data.source_id), outgoing="", fingerprint="", observed_at=data.recovered_at
        )
        await self._alerts.end(tx, end, reason=clean(data.reason), now=self._clock())

    async def authority_expiring(self, tx: Transaction, event: Event[AuthorityExpiring]) -> None:
        """Open or raise an alert, unless there is a year yet."""
        evidence = of_authority(event.data, told_at=event.time)
        if evidence is not None:
            await self._alerts.tell(tx, evidence, now=self._clock())

    async def authority_cleared(self, tx: Transaction, event: Event[AuthorityCleared]) -> None:
        """Resolve it."""
        end = Replacement(
            subject=authority_subject(event.data.fingerprint),
            outgoing="",
            fingerprint="",
            observed_at=event.data.cleared_at,
        )
        await self._alerts.end(tx, end, reason="Nothing in use is under it any more.", now=self._clock())

    async def flawed(self, tx: Transaction, event: Event[PlaceFlawed]) -> None:
        """Open an alert for this place and flaw, unless it is one that nobody needs to be told of."""
        evidence = of_flaw(event.data)
        if evidence is not None:
            await self._alerts.tell(tx, evidence, now=self._clock())

    async def mended(self, tx: Transaction, event: Event[PlaceMended]) -> None:
        """Resolve it."""
        data = event.data
        end = Replacement(
            subject=flaw_subject(data.place, data.flaw),
            outgoing="",
            fingerprint="",  # by its time alone: the same certificate may be in the same trouble again
            observed_at=data.ended_at,
        )
        await self._alerts.end(tx, end, reason="It was seen to be so no more.", now=self._clock())

    async def unowned(self, tx: Transaction, event: Event[CertificatesUnowned]) -> None:
        """Open the one alert about certificates without an owner."""
        await self._alerts.tell(tx, of_unowned(event.data), now=self._clock())

    async def owned(self, tx: Transaction, event: Event[CertificatesOwned]) -> None:
        """Resolve it."""
        end = Replacement(subject=UNOWNED, outgoing="", fingerprint="", observed_at=event.data.ended_at)
        await self._alerts.end(tx, end, reason="They were given one, or are out of use.", now=self._clock())

    async def noncompliant(self, tx: Transaction, event: Event[CertificateNoncompliant]) -> None:
        """Open an alert for this lineage and policy, or note which other rules are broken."""
        await self._alerts.tell(tx, of_noncompliance(event.data), now=self._clock())

    async def compliant(self, tx: Transaction, event: Event[CertificateCompliant]) -> None:
        """Resolve it."""
        data = event.data
        end = Replacement(
            subject=policy_subject(data.policy, data.lineage_id),
            outgoing="",
            fingerprint="",  # by its time alone: the same certificate may break the policy again
            observed_at=data.judged_at,
        )
        await self._alerts.end(tx, end, reason=clean(data.reason), now=self._clock())

    async def renewed(self, tx: Transaction, event: Event[CertificateRenewed]) -> None:
        """Note it: a certificate that is nowhere in place ends no problem."""
        data = event.data
        await self._alerts.begun(tx, data.lineage_id, data.groups, at=event.time)
        text = f"Renewed by {clean(data.authority)}, until {instant(data.not_after)}; not yet seen in place."
        name = display_name(data.names)
        await self._alerts.note(tx, data.lineage_id, text=text, name=name, now=self._clock())

    async def deployed(self, tx: Transaction, event: Event[CertificateDeployed]) -> None:
        """Note it: other places may still serve the old one."""
        text = f"Put in place on {clean(event.data.target)}; not yet seen at every place."
        await self._alerts.note(tx, event.data.lineage_id, text=text, now=self._clock())

    async def awaiting_approval(self, tx: Transaction, event: Event[RenewalAwaitingApproval]) -> None:
        """Open an alert for who decides, and raise it with the reminders."""
        subject = approval_subject(event.data.approval_id)
        await self._alerts.in_groups(tx, subject, event.data.approver_groups, at=event.time)
        await self._alerts.tell(tx, of_awaiting(event.data, told_at=event.time), now=self._clock())

    async def revocation_failed(self, tx: Transaction, event: Event[RevocationFailed]) -> None:
        """Open or raise an alert."""
        await self._alerts.tell(tx, of_failed_revocation(event.data, told_at=event.time), now=self._clock())

    async def revoked_by_us(self, tx: Transaction, event: Event[CertificateRevoked]) -> None:
        """Resolve it: the authority has taken it."""
        data = event.data
        reason = f"{clean(data.authority)} has revoked it."
        await self._revocation_over(tx, data.fingerprint, reason=reason, at=data.revoked_at)

    async def revocation_confirmed(self, tx: Transaction, event: Event[RevocationConfirmed]) -> None:
        """Resolve it: everybody who asks hears of it."""
        data = event.data
        await self._revocation_over(tx, data.fingerprint, reason="It was seen.", at=data.confirmed_at)

    async def _revocation_over(self, tx: Transaction, fingerprint: str, *, reason: str, at: datetime) -> None:
        subject = revocation_subject(fingerprint)
        end = Replacement(subject=subject, outgoing="", fingerprint="", observed_at=at)
        await self._alerts.end(tx, end, reason=reason, now=self._clock())

    async def approval_settled(self, tx: Transaction, event: Event[ApprovalSettled]) -> None:
        """Resolve it; where it was done without approval, everybody who is told of the worst hears of that first."""
        await self._alerts.overridden(tx, event.data, now=self._clock())
        reason = clean(event.data.reason, most=1000)
        await self._alerts.end(tx, end_of(event.data), reason=reason, now=self._clock())

    async def grouped(self, tx: Transaction, event: Event[LineagesGrouped]) -> None:
        """Remember it: who sees alerts about a lineage, and is told, goes by its groups."""
        await self._alerts.grouped(tx, event.data, at=event.time, now=self._clock())
