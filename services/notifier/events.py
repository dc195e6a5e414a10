"""What the notifier says on the bus, and what it does on what the others say."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.notifier.actions.alerts import Alerts
from services.notifier.actions.thresholds import Ending, Thresholds
from services.notifier.actions.trail import Trail
from services.notifier.actions.trail_watch import TrailWatch
from services.notifier.domain.alerts import Replacement
from services.notifier.domain.approvals import approval_subject, end_of, of_awaiting
from services.notifier.domain.authorities import authority_subject, of_authority
from services.notifier.domain.compliance import of_noncompliance, policy_subject
from services.notifier.domain.deployments import end_of_drift, end_of_stop, of_drift, of_rollout
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
from services.notifier.domain.subscriptions import CONSUMABLE
from services.notifier.domain.text import clean, instant
from shared.clock import Clock
from shared.events import Event, Payload
from shared.events.approvals import Asked, Settled
from shared.events.audit import ChangeRecorded, CheckpointCosigned, CheckpointRefused, TrailCheckpointed
from shared.events.discovery import SourceFailed, SourceRecovered
from shared.events.inventory import (
    AuthorityCleared,
    AuthorityExpiring,
    CertificateAging,
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
from shared.events.provisioner import (
    BindingDrifted,
    BindingSettled,
    CertificateDeployed,
    DeploymentApprovalSettled,
    DeploymentAwaitingApproval,
    DeploymentFailed,
    RolloutChanged,
)
from shared.events.renewal import (
    ApprovalSettled,
    CertificateRenewed,
    CertificateRevoked,
    LineageEnrolled,
    LineageWithdrawn,
    RenewalAwaitingApproval,
    RenewalFailed,
    RevocationConfirmed,
    RevocationFailed,
)
from shared.reactions import Reaction
from shared.store import Transaction

EMITS: tuple[type[Payload], ...] = (
    AlertOpened,
    AlertResolved,
    ApprovalGranted,
    ApprovalRefused,
    ChangeRecorded,
    TrailCheckpointed,
)


def reactions(alerts: Alerts, thresholds: Thresholds, *, clock: Clock) -> tuple[Reaction[Any], ...]:
    """Return the table of events and what is done on each."""
    handlers = Handlers(alerts, thresholds, clock=clock)
    return (
        Reaction(CertificateAging, handlers.aging, handle_usual=handlers.all_aging),
        Reaction(CertificateExpiring, handlers.expiring, handle_usual=handlers.all_expiring),
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
        Reaction(DeploymentAwaitingApproval, handlers.awaiting_approval),
        Reaction(DeploymentApprovalSettled, handlers.approval_settled),
        Reaction(RolloutChanged, handlers.rollout_changed),
        Reaction(BindingDrifted, handlers.drifted),
        Reaction(BindingSettled, handlers.settled),
        Reaction(RevocationFailed, handlers.revocation_failed),
        Reaction(CertificateRevoked, handlers.revoked_by_us),
        Reaction(RevocationConfirmed, handlers.revocation_confirmed),
        Reaction(LineageEnrolled, handlers.enrolled),
        Reaction(LineageWithdrawn, handlers.withdrawn),
    )


class Handlers:
    """Turns events into evidence, observations and notes."""

    def __init__(self, alerts: Alerts, thresholds: Thresholds, *, clock: Clock) -> None:
        self._alerts = alerts
        self._thresholds = thresholds
        self._clock = clock

    async def aging(self, tx: Transaction, event: Event[CertificateAging]) -> None:
        """Watch it: a rule may have thresholds as early as this."""
        await self._thresholds.watch(tx, [event], now=self._clock())

    async def all_aging(
        self, tx: Transaction, events: Sequence[Event[CertificateAging]]
    ) -> Sequence[Event[CertificateAging]]:
        """Watch them, one of each lineage."""
        first, left = _one_of_each_lineage(events)
        await self._thresholds.watch(tx, first, now=self._clock())
        return left

    async def enrolled(self, tx: Transaction, event: Event[LineageEnrolled]) -> None:
        """Remember that renewal sees to it: rules can be quiet as long as it is in time."""
        lineage_id = event.data.lineage_id
        await self._thresholds.automate(tx, lineage_id, is_automated=True, now=self._clock())

    async def withdrawn(self, tx: Transaction, event: Event[LineageWithdrawn]) -> None:
        """Remember that nobody sees to it any more."""
        lineage_id = event.data.lineage_id
        await self._thresholds.automate(tx, lineage_id, is_automated=False, now=self._clock())

    async def expiring(self, tx: Transaction, event: Event[CertificateExpiring]) -> None:
        """Watch it, and open or raise an alert unless the time for renewal has only begun."""
        await self.all_expiring(tx, [event])

    async def all_expiring(
        self, tx: Transaction, events: Sequence[Event[CertificateExpiring]]
    ) -> Sequence[Event[CertificateExpiring]]:
        """Do so for one of each lineage: very many can come to their end at once."""
        first, left = _one_of_each_lineage(events)
        await self._thresholds.watch(tx, first, now=self._clock())
        evidence = [of_expiring(event.data, told_at=event.time) for event in first]
        await self._alerts.tell_all(tx, [each for each in evidence if each is not None], now=self._clock())
        return left

    async def stale(self, tx: Transaction, event: Event[CertificateStale]) -> None:
        """Open an alert that names the places."""
        await self._alerts.tell(tx, of_stale(event.data), now=self._clock())

    async def revoked(self, tx: Transaction, event: Event[CertificateRevocationSeen]) -> None:
        """Open an alert: clients that ask refuse the certificate."""
        await self._alerts.tell(tx, of_revoked(event.data), now=self._clock())

    async def renewal_failed(self, tx: Transaction, event: Event[RenewalFailed]) -> None:
        """Open or raise an alert."""
        await self._alerts.begun(tx, event.data.lineage_id, event.data.groups, at=event.time)
        await self._thresholds.fell_behind(tx, event.data.lineage_id, now=self._clock())
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
        await self._thresholds.unwatch(tx, data.lineage_id, data.old_fingerprint, now=self._clock())
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
        """Note it: a certificate that is nowhere in place ends no problem.

        No further threshold of the old one is told: where it stays in place, that is `certificate.stale`.
        """
        data = event.data
        await self._thresholds.unwatch(tx, data.lineage_id, data.old_fingerprint, now=self._clock())
        await self._alerts.begun(tx, data.lineage_id, data.groups, at=event.time)
        text = f"Renewed by {clean(data.authority)}, until {instant(data.not_after)}; not yet seen in place."
        name = display_name(data.names)
        await self._alerts.note(tx, data.lineage_id, text=text, name=name, now=self._clock())

    async def deployed(self, tx: Transaction, event: Event[CertificateDeployed]) -> None:
        """Note it: other places may still serve the old one."""
        text = f"Put in place on {clean(event.data.target)}; not yet seen at every place."
        await self._alerts.note(tx, event.data.lineage_id, text=text, now=self._clock())

    async def awaiting_approval(self, tx: Transaction, event: Event[Any]) -> None:
        """Open an alert for who decides, and raise it with the reminders."""
        told: Asked = event.data
        subject = approval_subject(told.approval_id)
        await self._alerts.in_groups(tx, subject, told.approver_groups, at=event.time)
        await self._alerts.tell(tx, of_awaiting(told, told_at=event.time), now=self._clock())

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

    async def approval_settled(self, tx: Transaction, event: Event[Any]) -> None:
        """Resolve it; where it was done without approval, everybody who is told of the worst hears of that first."""
        told: Settled = event.data
        await self._alerts.overridden(tx, told, now=self._clock())
        await self._alerts.end(tx, end_of(told), reason=clean(told.reason, most=1000), now=self._clock())

    async def rollout_changed(self, tx: Transaction, event: Event[RolloutChanged]) -> None:
        """Open an alert where a rollout waits for a person; resolve it where it goes on, or is over."""
        evidence = of_rollout(event.data)
        if evidence is not None:
            await self._alerts.tell(tx, evidence, now=self._clock())
            return
        reason = clean(event.data.reason or f"The rollout is {event.data.state}.", most=1000)
        await self._alerts.end(tx, end_of_stop(event.data), reason=reason, now=self._clock())

    async def drifted(self, tx: Transaction, event: Event[BindingDrifted]) -> None:
        """Open an alert about the slot."""
        await self._alerts.tell(tx, of_drift(event.data), now=self._clock())

    async def settled(self, tx: Transaction, event: Event[BindingSettled]) -> None:
        """Resolve it."""
        reason = "The certificate that belongs there was seen in its place."
        await self._alerts.end(tx, end_of_drift(event.data), reason=reason, now=self._clock())

    async def grouped(self, tx: Transaction, event: Event[LineagesGrouped]) -> None:
        """Remember it: who sees alerts about a lineage, and is told, goes by its groups."""
        await self._alerts.grouped(tx, event.data, at=event.time, now=self._clock())


def _one_of_each_lineage(
    events: Sequence[Event[Ending]],
) -> tuple[list[Event[Ending]], list[Event[Ending]]]:
    """Return the first event of each lineage, and the others."""
    first: dict[str, Event[Ending]] = {}
    left = [event for event in events if first.setdefault(event.data.lineage_id, event) is not event]
    return list(first.values()), left


def trail_reactions(trail: Trail, watch: TrailWatch, *, clock: Clock) -> tuple[Reaction[Any], ...]:
    """Return what keeps the audit trail."""

    async def recorded(tx: Transaction, event: Event[ChangeRecorded]) -> None:
        await trail.append(tx, [event])

    async def many(
        tx: Transaction, events: Sequence[Event[ChangeRecorded]]
    ) -> Sequence[Event[ChangeRecorded]]:
        await trail.append(tx, events)
        return ()

    async def cosigned(tx: Transaction, event: Event[CheckpointCosigned]) -> None:
        await trail.cosigned(tx, event, now=clock())

    async def refused(tx: Transaction, event: Event[CheckpointRefused]) -> None:
        await watch.refused(tx, event, now=clock())

    return (
        Reaction(ChangeRecorded, recorded, handle_usual=many),
        Reaction(CheckpointCosigned, cosigned),
        Reaction(CheckpointRefused, refused),
    )


def kept_reactions(reacting: Sequence[Reaction[Any]]) -> tuple[Reaction[Any], ...]:
    """Return reactions to what is only kept for consumers: none of these does anything else."""
    known = {reaction.payload for reaction in reacting}

    async def nothing(_tx: Transaction, _event: Event[Any]) -> None:
        return

    async def nothing_at_all(_tx: Transaction, _events: Sequence[Event[Any]]) -> Sequence[Event[Any]]:
        return ()

    return tuple(
        Reaction(payload, nothing, handle_usual=nothing_at_all)
        for payload in CONSUMABLE
        if payload not in known
    )
