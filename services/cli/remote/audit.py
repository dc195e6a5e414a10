"""`everleaf audit`: who has changed what, when and why."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from everleaf import Call, Listing
from everleaf.contracts import notifier
from services.cli.durations import duration
from services.cli.remote.commands import does, lists

app = typer.Typer(help="The audit trail: read it, export it, prove that it is whole.")


@lists(
    app,
    {
        "NUMBER": "number",
        "AT": "at",
        "WHO": "actor_name",
        "DID": "action",
        "WITH": "object_kind",
        "NAME": lambda entry: entry["object_name"] or entry["object_id"],
        "REASON": "reason",
    },
)
def audit(
    *,
    since: Annotated[
        timedelta | None, typer.Option(parser=duration, metavar="DURATION", help="As 24h.")
    ] = None,
    actor: Annotated[str | None, typer.Option(help="The id of who did it.")] = None,
    action: Annotated[str | None, typer.Option()] = None,
    kind: Annotated[str | None, typer.Option(help="What it was done with, as certificates.")] = None,
    object_id: Annotated[str | None, typer.Option("--object", help="Its id.")] = None,
) -> Listing[notifier.TrailEntryView]:
    """List who has changed what, when and why."""
    begin = (datetime.now(UTC) - since).isoformat() if since is not None else None
    return notifier.list_audit_entries(
        since=begin, actor_id=actor, action=action, object_kind=kind, object_id=object_id
    )


@does(app, "export")
def export() -> Call[str]:
    """Download the whole trail, for `everleaf audit verify`."""
    return notifier.export_audit_trail()
