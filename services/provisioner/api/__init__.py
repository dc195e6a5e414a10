"""The provisioner's HTTP door: targets, bindings and proposals of them, plans, deployments, rollouts, windows, approvals."""

from dataclasses import dataclass

from services.provisioner.actions.approval_rules import ApprovalRules
from services.provisioner.actions.bindings import Bindings
from services.provisioner.actions.deployments import Deployments
from services.provisioner.actions.plans import Plans
from services.provisioner.actions.policies import Policies
from services.provisioner.actions.proposals import Proposals
from services.provisioner.actions.pulls import Pulls
from services.provisioner.actions.rollouts import Rollouts
from services.provisioner.actions.targets import Targets
from services.provisioner.actions.windows import Windows
from services.provisioner.api.approval_rules import approval_rule_routes
from services.provisioner.api.bindings import binding_routes
from services.provisioner.api.deployments import deployment_routes
from services.provisioner.api.plans import plan_routes
from services.provisioner.api.policies import policy_routes
from services.provisioner.api.proposals import proposal_routes
from services.provisioner.api.pulls import pull_routes
from services.provisioner.api.rollouts import rollout_routes
from services.provisioner.api.targets import target_routes
from services.provisioner.api.windows import freeze_routes, window_routes
from shared.approvals.actions import Approvals
from shared.approvals.routes import approval_routes
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
    pulls: Pulls
    plans: Plans
    policies: Policies
    rollouts: Rollouts
    approval_rules: ApprovalRules
    windows: Windows
    approvals: Approvals


def routes(actions: Actions, *, once: Once, clock: Clock) -> list[Routes]:
    """Build all routes."""
    return [
        target_routes(actions.targets, once=once, clock=clock),
        binding_routes(actions.bindings, once=once, clock=clock),
        plan_routes(actions.plans, clock=clock),
        proposal_routes(actions.proposals, once=once, clock=clock),
        deployment_routes(actions.deployments, clock=clock),
        pull_routes(actions.pulls, clock=clock),
        policy_routes(actions.policies, clock=clock),
        rollout_routes(actions.rollouts, clock=clock),
        approval_rule_routes(actions.approval_rules, once=once, clock=clock),
        window_routes(actions.windows, once=once, clock=clock),
        freeze_routes(actions.windows, once=once, clock=clock),
        approval_routes(actions.approvals, clock=clock),
    ]
