"""`everleaf dead-letters`: the events that services gave up after their last try."""

from types import ModuleType
from typing import Annotated, Any, Literal

import typer

from everleaf import Call
from everleaf.contracts import discovery, inventory, notifier, provisioner, renewal
from services.cli.remote.commands import does

app = typer.Typer(
    help="Events that were given up after their last try: see them, put them back, throw them away.",
    no_args_is_help=True,
)
CONTRACTS: dict[str, ModuleType] = {
    "inventory": inventory,
    "discovery": discovery,
    "renewal": renewal,
    "provisioner": provisioner,
    "notifier": notifier,
}

Service = Annotated[
    Literal["inventory", "discovery", "renewal", "provisioner", "notifier"],
    typer.Argument(metavar="SERVICE", help="Whose."),
]
Id = Annotated[list[str], typer.Option("--id", help="Which event; may be repeated.")]


@does(app, "list")
def list_(service: Service, *, limit: Annotated[int, typer.Option(min=1, max=1000)] = 20) -> Call[Any]:
    """Show the oldest dead letters, and why they were given up."""
    return _asked(CONTRACTS[service].list_dead_letters(limit=limit))


@does(app, "redrive")
def redrive(
    service: Service,
    *,
    ids: Annotated[list[str] | None, typer.Option("--id", help="Only this event; may be repeated.")] = None,
) -> Call[Any]:
    """Put dead letters back for a first try: when what they died of is mended."""
    return _asked(CONTRACTS[service].redrive_dead_letters({"ids": ids or None}))


@does(app, "discard")
def discard(service: Service, ids: Id) -> Call[Any]:
    """Throw dead letters away for good."""
    return _asked(CONTRACTS[service].discard_dead_letters({"ids": ids}))


def _asked(call: Call[Any]) -> Call[Any]:
    """Give a call back with its type: the five contracts have the same operations of these names."""
    return call
