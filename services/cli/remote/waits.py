"""`everleaf wait-for`: blocks until something has ended, for scripts and pipelines."""

from typing import Annotated, Any

import typer

from everleaf import Client, Wait, waiting
from everleaf.contracts import renewal
from services.cli.remote.commands import waits
from services.cli.remote.naming import Lineage, lineage_of
from shared.errors import Invalid

app = typer.Typer(
    help="Wait until something has ended: 0 well, 4 badly, 5 not in time.", no_args_is_help=True
)

Id = Annotated[str, typer.Argument(metavar="ID")]


@waits(app, "scan")
def scan(id_: Id) -> Wait[Any]:
    """Wait for the end of a scan."""
    return waiting.scan(id_)


@waits(app, "source")
def source(
    source_id: Annotated[str, typer.Argument(metavar="SOURCE")],
    run_id: Annotated[str, typer.Argument(metavar="RUN")],
) -> Wait[Any]:
    """Wait until a source has been read."""
    return waiting.source_run(source_id, run_id)


@waits(app, "order")
def order(id_: Id) -> Wait[Any]:
    """Wait until an order's certificate is there."""
    return waiting.order(id_)


@waits(app, "deployment")
def deployment(id_: Id) -> Wait[Any]:
    """Wait until a certificate is in place, and was watched there."""
    return waiting.deployment(id_)


@waits(app, "deployed")
def deployed(
    client: Client,
    certificate: Lineage,
    *,
    order_id: Annotated[str | None, typer.Option("--order", help="Left out, its last order.")] = None,
) -> Wait[Any]:
    """Wait until a renewed certificate is in place, in every slot where it belongs."""
    return waiting.deployed(order_id or _last_order(client, lineage_of(client, certificate)))


@waits(app, "rollout")
def rollout(id_: Id) -> Wait[Any]:
    """Wait until a certificate is everywhere where it belongs."""
    return waiting.rollout(id_)


@waits(app, "plan")
def plan(id_: Id) -> Wait[Any]:
    """Wait until it is known what a campaign would do."""
    return waiting.plan(id_)


@waits(app, "campaign")
def campaign(id_: Id) -> Wait[Any]:
    """Wait for the end of a campaign."""
    return waiting.campaign(id_)


def _last_order(client: Client, lineage: str) -> str:
    orders = list(client.each(renewal.list_orders(lineage_id=lineage)))
    if not orders:
        raise Invalid(
            "Nothing was ever ordered for it.", next_step="Renew it first: everleaf renew now CERTIFICATE"
        )
    return max(orders, key=lambda each: each["created_at"])["id"]
