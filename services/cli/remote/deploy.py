"""`everleaf deploy`: certificates on their way into place."""

from typing import Annotated

import typer

from everleaf import Call, Client, Listing, waiting
from everleaf.contracts import provisioner
from services.cli.remote import documents
from services.cli.remote.commands import does, lists
from services.cli.remote.naming import Lineage, lineage_of, short

app = typer.Typer(help="Deployments, rollouts, and which certificate belongs where.")

Deployment = Annotated[str, typer.Argument(metavar="DEPLOYMENT", help="Its id.")]
Rollout = Annotated[str, typer.Argument(metavar="ROLLOUT", help="Its id.")]
State = provisioner.DomainState


@lists(
    app,
    {
        "ID": "id",
        "STATE": "state",
        "PHASE": "phase",
        "CERTIFICATE": short("fingerprint"),
        "TARGET": "target_id",
        "WAVE": "wave",
        "HELD BY": "hold",
        "REASON": "reason",
    },
)
def deploy(
    *,
    state: Annotated[State | None, typer.Option()] = None,
    order: Annotated[str | None, typer.Option(help="Of this order only.")] = None,
    target: Annotated[str | None, typer.Option(help="To this target only.")] = None,
) -> Listing[provisioner.DeploymentView]:
    """List deployments."""
    return provisioner.list_deployments(state=state, order_id=order, target_id=target)


@does(app, "show")
def show(deployment: Deployment) -> Call[provisioner.DeploymentReport]:
    """Show a deployment, step by step."""
    return provisioner.get_deployment(deployment)


@does(app, "retry", wait=lambda deployment: waiting.deployment(deployment["id"]))
def retry(deployment: Deployment) -> Call[provisioner.DeploymentView]:
    """Try a deployment again, now."""
    return provisioner.retry_deployment(deployment)


@does(app, "plan")
def plan(client: Client, certificate: Lineage) -> Call[provisioner.PlanView]:
    """Say what deploying would do, slot by slot, and what stands in the way."""
    return provisioner.get_plan(lineage_of(client, certificate))


@does(app, "bind")
def bind(file: documents.File) -> Call[provisioner.BindingView]:
    """Say that a lineage belongs in a slot of a target."""
    return provisioner.create_binding(documents.read(file))


@lists(
    app,
    {
        "ID": "id",
        "LINEAGE": "lineage_id",
        "TARGET": "target_id",
        "SLOT": "slot",
        "CERTIFICATE": short("fingerprint"),
        "DEPLOYED": "deployed_at",
        "DRIFTED": "drifted_at",
    },
    "bindings",
)
def bindings(*, target: Annotated[str | None, typer.Option()] = None) -> Listing[provisioner.BindingView]:
    """List what belongs where."""
    return provisioner.list_bindings(target_id=target)


@lists(
    app,
    {
        "ID": "id",
        "STATE": "state",
        "CERTIFICATE": short("fingerprint"),
        "WAVE": "wave",
        "REASON": "reason",
        "BEGAN": "created_at",
    },
    "rollouts",
)
def rollouts() -> Listing[provisioner.RolloutView]:
    """List rollouts."""
    return provisioner.list_rollouts()


@does(app, "resume", wait=lambda rollout: waiting.rollout(rollout["id"]))
def resume(rollout: Rollout) -> Call[provisioner.RolloutView]:
    """Go on with a rollout that has stopped."""
    return provisioner.resume_rollout(rollout)


@does(app, "abort")
def abort(
    rollout: Rollout, *, reason: Annotated[str, typer.Option(help="Why; it is kept.")]
) -> Call[provisioner.RolloutView]:
    """End a rollout before its end."""
    return provisioner.abort_rollout(rollout, {"reason": reason})
