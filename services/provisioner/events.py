"""What the provisioner says, and what it does when others say something."""

from typing import Any

from services.provisioner.actions.deployments import Deployments
from shared.clock import Clock
from shared.events import Event
from shared.events.provisioner import CertificateDeployed, DeploymentFailed
from shared.events.renewal import CertificateRenewed
from shared.reactions import Reaction
from shared.store import Transaction

EMITS = (CertificateDeployed, DeploymentFailed)


def reactions(deployments: Deployments, *, clock: Clock) -> tuple[Reaction[Any], ...]:
    """Return the table of event and action."""

    async def renewed(tx: Transaction, event: Event[CertificateRenewed]) -> None:
        await deployments.begin(tx, event, now=clock())

    return (Reaction(CertificateRenewed, renewed),)
