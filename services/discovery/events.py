"""What discovery says, and what it does when others say something."""

from typing import Any

from services.discovery.actions.watches import Watches
from shared.clock import Clock
from shared.events import Event, Payload
from shared.events.audit import SAID_BY_ALL
from shared.events.discovery import (
    CertificateFound,
    PlaceLost,
    ScanFinished,
    SourceFailed,
    SourceRead,
    SourceRecovered,
)
from shared.events.provisioner import CertificateDeployed
from shared.events.renewal import CertificateRenewed
from shared.reactions import Reaction
from shared.store import Transaction

EMITS: tuple[type[Payload], ...] = (
    CertificateFound,
    PlaceLost,
    ScanFinished,
    SourceFailed,
    SourceRead,
    SourceRecovered,
    *SAID_BY_ALL,
)


def reactions(watches: Watches, *, clock: Clock) -> tuple[Reaction[Any], ...]:
    """Return the table of event and action."""

    async def deployed(tx: Transaction, event: Event[CertificateDeployed]) -> None:
        await watches.deployed(tx, event, now=clock())

    async def renewed(tx: Transaction, event: Event[CertificateRenewed]) -> None:
        await watches.renewed(tx, event, now=clock())

    return (Reaction(CertificateDeployed, deployed), Reaction(CertificateRenewed, renewed))
