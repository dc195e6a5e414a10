"""What the provisioner says, and what it does when others say something."""

from dataclasses import dataclass
from typing import Any

from services.provisioner.actions.deployments import Deployments
from services.provisioner.actions.drifts import Drifts
from services.provisioner.actions.key_requests import KeyRequests
from services.provisioner.actions.proposals import Proposals
from shared.approvals import Verdict
from shared.approvals.actions import Approvals, Words
from shared.clock import Clock
from shared.events import Event, Payload
from shared.events.audit import SAID_BY_ALL
from shared.events.discovery import CertificateFound, PlaceLost
from shared.events.inventory import CertificateStale, LineagesGrouped
from shared.events.notifier import ApprovalGranted, ApprovalRefused
from shared.events.provisioner import (
    BindingDrifted,
    BindingSettled,
    CertificateDeployed,
    DeploymentApprovalSettled,
    DeploymentAwaitingApproval,
    DeploymentFailed,
    RolloutChanged,
    WindowOverridden,
)
from shared.events.renewal import CertificateRenewed, RenewalFailed, RequestWanted, RequestWithdrawn
from shared.reactions import Reaction
from shared.store import Transaction

EMITS: tuple[type[Payload], ...] = (
    CertificateDeployed,
    DeploymentFailed,
    RolloutChanged,
    BindingDrifted,
    BindingSettled,
    WindowOverridden,
    DeploymentAwaitingApproval,
    DeploymentApprovalSettled,
    *SAID_BY_ALL,
)
WORDS = Words(asked=DeploymentAwaitingApproval, settled=DeploymentApprovalSettled)
"""How approvals are told of."""


@dataclass(frozen=True, kw_only=True)
class Handlers:
    """What is done on each event."""

    deployments: Deployments
    proposals: Proposals
    key_requests: KeyRequests
    drifts: Drifts
    approvals: Approvals
    clock: Clock

    async def renewed(self, tx: Transaction, event: Event[CertificateRenewed]) -> None:
        """Put it in place wherever its lineage belongs."""
        await self.deployments.begin(tx, event, now=self.clock())

    async def found(self, tx: Transaction, event: Event[CertificateFound]) -> None:
        """Propose a binding, or see what is in the slot of one."""
        await self.proposals.seen(tx, event)
        await self.drifts.found(tx, event, now=self.clock())

    async def lost(self, tx: Transaction, event: Event[PlaceLost]) -> None:
        """Propose it no more."""
        await self.proposals.lost(tx, event)

    async def stale(self, tx: Transaction, event: Event[CertificateStale]) -> None:
        """Remember it with the deployment."""
        await self.drifts.stale(tx, event)

    async def grouped(self, tx: Transaction, event: Event[LineagesGrouped]) -> None:
        """Remember who may see what hangs on the lineages."""
        await self.deployments.grouped(tx, event)

    async def request_wanted(self, tx: Transaction, event: Event[RequestWanted]) -> None:
        """Have a key made on the target."""
        await self.key_requests.wanted(tx, event, now=self.clock())

    async def request_withdrawn(self, tx: Transaction, event: Event[RequestWithdrawn]) -> None:
        """Have it removed."""
        await self.key_requests.withdrawn(tx, event.data.order_id, at=event.time, now=self.clock())

    async def failed(self, tx: Transaction, event: Event[RenewalFailed]) -> None:
        """Have it removed, where nobody tries again."""
        if event.data.next_attempt_at is None:
            await self.key_requests.withdrawn(tx, event.data.order_id, at=event.time, now=self.clock())

    async def granted(self, tx: Transaction, event: Event[ApprovalGranted]) -> None:
        """Take it in, where it is about what waits here."""
        await self.approvals.heard(tx, event.data, verdict=Verdict.GRANT, now=self.clock())

    async def refused(self, tx: Transaction, event: Event[ApprovalRefused]) -> None:
        """Take it in, where it is about what waits here."""
        await self.approvals.heard(tx, event.data, verdict=Verdict.REFUSE, now=self.clock())


def reactions(handlers: Handlers) -> tuple[Reaction[Any], ...]:
    """Return the table of event and action."""
    return (
        Reaction(CertificateRenewed, handlers.renewed),
        Reaction(RequestWanted, handlers.request_wanted),
        Reaction(RequestWithdrawn, handlers.request_withdrawn),
        Reaction(RenewalFailed, handlers.failed),
        Reaction(CertificateFound, handlers.found),
        Reaction(PlaceLost, handlers.lost),
        Reaction(LineagesGrouped, handlers.grouped),
        Reaction(CertificateStale, handlers.stale),
        Reaction(ApprovalGranted, handlers.granted),
        Reaction(ApprovalRefused, handlers.refused),
    )
