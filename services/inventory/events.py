"""What the inventory says, and what it does when others say something."""

from collections.abc import Sequence
from typing import Any

from services.inventory.actions.observations import Observations
from services.inventory.actions.renewals import Renewals
from shared.clock import Clock
from shared.events import Event, Payload
from shared.events.audit import SAID_BY_ALL
from shared.events.discovery import CertificateFound, PlaceLost, SourceRead
from shared.events.inventory import (
    AccessChanged,
    AuthorityCleared,
    AuthorityExpiring,
    CertificateAging,
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
from shared.events.provisioner import CertificateDeployed
from shared.events.renewal import CertificateRenewed, CertificateRevoked, LineageEnrolled, LineageWithdrawn
from shared.reactions import Reaction
from shared.store import Transaction

EMITS: tuple[type[Payload], ...] = (
    AccessChanged,
    CertificateAging,
    CertificateExpiring,
    CertificateReplaced,
    CertificateStale,
    CertificatesArrived,
    CertificatesOwned,
    CertificatesUnowned,
    LineagesGrouped,
    PlaceFlawed,
    PlaceMended,
    CertificateNoncompliant,
    CertificateCompliant,
    AuthorityExpiring,
    AuthorityCleared,
    CertificateRevocationSeen,
    *SAID_BY_ALL,
)


def reactions(observations: Observations, renewals: Renewals, *, clock: Clock) -> tuple[Reaction[Any], ...]:
    """Return the table of event and action."""
    return (*_of_what_is_seen(observations, clock), *_of_what_is_done(renewals, clock))


def _of_what_is_seen(observations: Observations, clock: Clock) -> tuple[Reaction[Any], ...]:

    async def found(tx: Transaction, event: Event[CertificateFound]) -> None:
        await observations.found(tx, event, now=clock())

    async def unchanged(
        tx: Transaction, events: Sequence[Event[CertificateFound]]
    ) -> Sequence[Event[CertificateFound]]:
        return await observations.unchanged(tx, events)

    async def usual(
        tx: Transaction, events: Sequence[Event[CertificateFound]]
    ) -> Sequence[Event[CertificateFound]]:
        return await observations.usual(tx, events, now=clock())

    async def usually_lost(tx: Transaction, events: Sequence[Event[PlaceLost]]) -> Sequence[Event[PlaceLost]]:
        return await observations.usually_lost(tx, events, now=clock())

    async def lost(tx: Transaction, event: Event[PlaceLost]) -> None:
        await observations.lost(tx, event, now=clock())

    async def read(tx: Transaction, event: Event[SourceRead]) -> None:
        await observations.read(tx, event, now=clock())

    return (
        Reaction(
            CertificateFound,
            found,
            handle_usual=usual,
            absorb=unchanged,
            foresee=observations.foresee,
            hear=observations.hear,
        ),
        Reaction(PlaceLost, lost, usually_lost),
        Reaction(SourceRead, read),
    )


def _of_what_is_done(renewals: Renewals, clock: Clock) -> tuple[Reaction[Any], ...]:
    async def usually_renewed(
        tx: Transaction, events: Sequence[Event[CertificateRenewed]]
    ) -> Sequence[Event[CertificateRenewed]]:
        return await renewals.usually_renewed(tx, events, now=clock())

    async def renewed(tx: Transaction, event: Event[CertificateRenewed]) -> None:
        await renewals.renewed(tx, event, now=clock())

    async def revoked(tx: Transaction, event: Event[CertificateRevoked]) -> None:
        await renewals.revoked(tx, event, now=clock())

    async def deployed(tx: Transaction, event: Event[CertificateDeployed]) -> None:
        await renewals.deployed(tx, event, now=clock())

    async def enrolled(tx: Transaction, event: Event[LineageEnrolled]) -> None:
        data = event.data
        await renewals.managed(tx, data.lineage_id, is_managed=True, at=data.enrolled_at, now=clock())

    async def withdrawn(tx: Transaction, event: Event[LineageWithdrawn]) -> None:
        data = event.data
        await renewals.managed(tx, data.lineage_id, is_managed=False, at=data.withdrawn_at, now=clock())

    return (
        Reaction(CertificateRenewed, renewed, usually_renewed),
        Reaction(CertificateRevoked, revoked),
        Reaction(CertificateDeployed, deployed),
        Reaction(LineageEnrolled, enrolled),
        Reaction(LineageWithdrawn, withdrawn),
    )
