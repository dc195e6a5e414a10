"""What the notifier says on the bus, and what it does on what the others say."""

from typing import Any

from services.notifier.actions.alerts import Alerts
from services.notifier.domain.alerts import Replacement
from services.notifier.domain.evidence import (
    display_name,
    of_expiring,
    of_failed_deployment,
    of_failed_renewal,
    of_failed_source,
    of_stale,
    source_subject,
)
from services.notifier.domain.flaws import flaw_subject, of_flaw
from services.notifier.domain.text import clean, instant
from shared.clock import Clock
from shared.events import Event, Payload
from shared.events.discovery import SourceFailed, SourceRecovered
from shared.events.inventory import (
    CertificateExpiring,
    CertificateReplaced,
    CertificateStale,
    PlaceFlawed,
    PlaceMended,
)
from shared.events.notifier import AlertOpened, AlertResolved
from shared.events.provisioner import CertificateDeployed, DeploymentFailed
from shared.events.renewal import CertificateRenewed, RenewalFailed
from shared.reactions import Reaction
from shared.store import Transaction

EMITS: tuple[type[Payload], ...] = (AlertOpened, AlertResolved)


def reactions(alerts: Alerts, *, clock: Clock) -> tuple[Reaction[Any], ...]:
    """Return the table of events and what is done on each."""
    handlers = Handlers(alerts, clock=clock)
    return (
        Reaction(CertificateExpiring, handlers.expiring),
        Reaction(CertificateStale, handlers.stale),
        Reaction(CertificateReplaced, handlers.replaced),
        Reaction(RenewalFailed, handlers.renewal_failed),
        Reaction(DeploymentFailed, handlers.deployment_failed),
        Reaction(CertificateRenewed, handlers.renewed),
        Reaction(CertificateDeployed, handlers.deployed),
        Reaction(SourceFailed, handlers.source_failed),
        Reaction(SourceRecovered, handlers.source_recovered),
        Reaction(PlaceFlawed, handlers.flawed),
        Reaction(PlaceMended, handlers.mended),
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

    async def renewal_failed(self, tx: Transaction, event: Event[RenewalFailed]) -> None:
        """Open or raise an alert."""
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
        await self._alerts.tell(tx, of_failed_source(event.data), now=self._clock())

    async def source_recovered(self, tx: Transaction, event: Event[SourceRecovered]) -> None:
        """Resolve it."""
        data = event.data
        end = Replacement(
            subject=source_subject(data.source_id), outgoing="", fingerprint="", observed_at=data.recovered_at
        )
        await self._alerts.end(tx, end, reason=clean(data.reason), now=self._clock())

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

    async def renewed(self, tx: Transaction, event: Event[CertificateRenewed]) -> None:
        """Note it: a certificate that is nowhere in place ends no problem."""
        data = event.data
        text = f"Renewed by {clean(data.authority)}, until {instant(data.not_after)}; not yet seen in place."
        name = display_name(data.names)
        await self._alerts.note(tx, data.lineage_id, text=text, name=name, now=self._clock())

    async def deployed(self, tx: Transaction, event: Event[CertificateDeployed]) -> None:
        """Note it: other places may still serve the old one."""
        text = f"Put in place on {clean(event.data.target)}; not yet seen at every place."
        await self._alerts.note(tx, event.data.lineage_id, text=text, now=self._clock())
