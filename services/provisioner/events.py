"""What the provisioner says, and what it does when others say something."""

from typing import Any

from services.provisioner.actions.deployments import Deployments
from services.provisioner.actions.key_requests import KeyRequests
from services.provisioner.actions.proposals import Proposals
from shared.clock import Clock
from shared.events import Event
from shared.events.discovery import CertificateFound, PlaceLost
from shared.events.inventory import LineagesGrouped
from shared.events.provisioner import CertificateDeployed, DeploymentFailed
from shared.events.renewal import CertificateRenewed, RenewalFailed, RequestWanted, RequestWithdrawn
from shared.reactions import Reaction
from shared.store import Transaction

EMITS = (CertificateDeployed, DeploymentFailed)


def reactions(
    deployments: Deployments, proposals: Proposals, key_requests: KeyRequests, *, clock: Clock
) -> tuple[Reaction[Any], ...]:
    """Return the table of event and action."""

    async def renewed(tx: Transaction, event: Event[CertificateRenewed]) -> None:
        await deployments.begin(tx, event, now=clock())

    async def found(tx: Transaction, event: Event[CertificateFound]) -> None:
        await proposals.seen(tx, event)

    async def lost(tx: Transaction, event: Event[PlaceLost]) -> None:
        await proposals.lost(tx, event)

    async def grouped(tx: Transaction, event: Event[LineagesGrouped]) -> None:
        await deployments.grouped(tx, event)

    async def request_wanted(tx: Transaction, event: Event[RequestWanted]) -> None:
        await key_requests.wanted(tx, event, now=clock())

    async def request_withdrawn(tx: Transaction, event: Event[RequestWithdrawn]) -> None:
        await key_requests.withdrawn(tx, event.data.order_id, at=event.time, now=clock())

    async def failed(tx: Transaction, event: Event[RenewalFailed]) -> None:
        if event.data.next_attempt_at is None:
            await key_requests.withdrawn(tx, event.data.order_id, at=event.time, now=clock())

    return (
        Reaction(CertificateRenewed, renewed),
        Reaction(RequestWanted, request_wanted),
        Reaction(RequestWithdrawn, request_withdrawn),
        Reaction(RenewalFailed, failed),
        Reaction(CertificateFound, found),
        Reaction(PlaceLost, lost),
        Reaction(LineagesGrouped, grouped),
    )
