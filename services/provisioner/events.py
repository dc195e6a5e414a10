"""What the provisioner says, and what it does when others say something."""

from typing import Any

from services.provisioner.actions.deployments import Deployments
from services.provisioner.actions.proposals import Proposals
from shared.clock import Clock
from shared.events import Event
from shared.events.discovery import CertificateFound, PlaceLost
from shared.events.inventory import LineagesGrouped
from shared.events.provisioner import CertificateDeployed, DeploymentFailed
from shared.events.renewal import CertificateRenewed
from shared.reactions import Reaction
from shared.store import Transaction

EMITS = (CertificateDeployed, DeploymentFailed)


def reactions(deployments: Deployments, proposals: Proposals, *, clock: Clock) -> tuple[Reaction[Any], ...]:
    """Return the table of event and action."""

    async def renewed(tx: Transaction, event: Event[CertificateRenewed]) -> None:
        await deployments.begin(tx, event, now=clock())

    async def found(tx: Transaction, event: Event[CertificateFound]) -> None:
        await proposals.seen(tx, event)

    async def lost(tx: Transaction, event: Event[PlaceLost]) -> None:
        await proposals.lost(tx, event)

    async def grouped(tx: Transaction, event: Event[LineagesGrouped]) -> None:
        await deployments.grouped(tx, event)

    return (
        Reaction(CertificateRenewed, renewed),
        Reaction(CertificateFound, found),
        Reaction(PlaceLost, lost),
        Reaction(LineagesGrouped, grouped),
    )
