"""The provisioner's HTTP door: targets, bindings, proposals of bindings, deployments."""

from dataclasses import dataclass

from services.provisioner.actions.bindings import Bindings
from services.provisioner.actions.deployments import Deployments
from services.provisioner.actions.proposals import Proposals
from services.provisioner.actions.targets import Targets
from services.provisioner.api.bindings import binding_routes
from services.provisioner.api.deployments import deployment_routes
from services.provisioner.api.proposals import proposal_routes
from services.provisioner.api.targets import target_routes
from shared.clock import Clock
from shared.http import Routes
from shared.idempotency import Once


@dataclass(frozen=True, kw_only=True)
class Actions:
    """What the routes lead to."""

    targets: Targets
    bindings: Bindings
    proposals: Proposals
    deployments: Deployments


def routes(actions: Actions, *, once: Once, clock: Clock) -> list[Routes]:
    """Build all routes."""
    return [
        target_routes(actions.targets, once=once, clock=clock),
        binding_routes(actions.bindings, once=once, clock=clock),
        proposal_routes(actions.proposals, once=once, clock=clock),
        deployment_routes(actions.deployments, clock=clock),
    ]
