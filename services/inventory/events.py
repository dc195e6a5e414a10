"""What the inventory says, and what it does when others say something."""

from typing import Any

from services.inventory.actions.observations import Observations
from services.inventory.actions.renewals import Renewals
from shared.clock import Clock
from shared.events import Event
from shared.events.discovery import CertificateFound, PlaceLost, SourceRead
from shared.events.inventory import (
    CertificateExpiring,
    CertificateReplaced,
    CertificateStale,
    PlaceFlawed,
    PlaceMended,
)
from shared.events.provisioner import CertificateDeployed
from shared.events.renewal import CertificateRenewed
from shared.reactions import Reaction
from shared.store import Transaction

EMITS = (CertificateExpiring, CertificateReplaced, CertificateStale, PlaceFlawed, PlaceMended)


def reactions(observations: Observations, renewals: Renewals, *, clock: Clock) -> tuple[Reaction[Any], ...]:
    """Return the table of event and action."""

    async def found(tx: Transaction, event: Event[CertificateFound]) -> None:
        await observations.found(tx, event, now=clock())

    async def lost(tx: Transaction, event: Event[PlaceLost]) -> None:
        await observations.lost(tx, event, now=clock())

    async def read(tx: Transaction, event: Event[SourceRead]) -> None:
        await observations.read(tx, event, now=clock())

    async def renewed(tx: Transaction, event: Event[CertificateRenewed]) -> None:
        await renewals.renewed(tx, event, now=clock())

    async def deployed(tx: Transaction, event: Event[CertificateDeployed]) -> None:
        await renewals.deployed(tx, event, now=clock())

    return (
        Reaction(CertificateFound, found),
        Reaction(PlaceLost, lost),
        Reaction(SourceRead, read),
        Reaction(CertificateRenewed, renewed),
        Reaction(CertificateDeployed, deployed),
    )
