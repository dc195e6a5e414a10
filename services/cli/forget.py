"""`everleaf forget-unreadable`: what to do when a key-encryption key is lost for good."""

from collections.abc import Sequence

import typer

from services.program import Program, open_database_of, require_migrated
from shared.acting import Acting, acting_as
from shared.clock import utc_now
from shared.store import Auditing
from shared.store.forgetting import forget_unreadable, unreadable


async def forget_all(program: Program, names: Sequence[str], *, really: bool) -> None:
    """Empty what no key at hand opens, or only tell what that is."""
    await require_migrated(program, names)
    sealer = program.sealer()
    auditing = Auditing(tables={}, clock=utc_now)
    total = 0
    with acting_as(Acting(name="everleaf forget-unreadable")):
        for name in names:
            async with open_database_of(program, name, auditing=auditing) as (schema, database):
                look = forget_unreadable if really else unreadable
                for found in await look(database, schema, sealer):
                    after = (
                        "made anew by itself"
                        if found.is_made_anew
                        else "to be given again where it is still needed"
                    )
                    typer.echo(f"{name}: {found.column}: {found.count:,}, {after}")
                    total += found.count
    if not total:
        typer.echo("Every secret can be opened.")
    elif really:
        typer.echo(f"{total:,} secrets are forgotten.")
    else:
        typer.echo(f"{total:,} secrets cannot be opened. Nothing was changed: repeat with --yes.")
