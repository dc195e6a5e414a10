"""`everleaf rewrap`: seals all that is kept with the present key-encryption key, so that the former one can go."""

from collections import Counter
from collections.abc import Sequence

import typer

from services.program import Program, open_database_of, require_migrated
from shared.sealing import Sealer
from shared.store.rewrapping import counts, rewrap


async def rewrap_all(program: Program, names: Sequence[str], *, check: bool) -> bool:
    """Rewrap the datastores of these services, or only look; return whether the present key is the only one in use."""
    await require_migrated(program, names)
    sealer = program.sealer()
    found: Counter[bytes] = Counter()
    for name in names:
        async with open_database_of(program, name) as (schema, database):
            if not check:
                async for step in rewrap(database, schema.metadata, sealer):
                    unreadable = f", {step.unreadable:,} unreadable" if step.unreadable else ""
                    typer.echo(f"{name}: {step.column}: {step.rewrapped:,} of {step.of:,}{unreadable}")
            found += await counts(database, schema.metadata)
    return _told(found, sealer)


def _told(found: Counter[bytes], sealer: Sealer) -> bool:
    present = found.pop(sealer.prefix, 0)
    typer.echo(f"{present:,} secrets are sealed with the present key ({sealer.prefix[1:].hex()}).")
    for prefix, count in sorted(found.items()):
        typer.echo(f"{count:,} secrets are sealed with another key ({prefix[1:].hex()}).")
    if not found:
        typer.echo("No other key is needed: EVERLEAF_OLD_KEK_FILES can be left out.")
    return not found
