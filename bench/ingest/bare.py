"""`python -m bench.ingest.bare DATABASE ROWS`: the same rows, read already, by COPY and a merge, as fast as that goes.

What is read from an event goes into tables with all the columns and indexes that the inventory's own have: the certificate, its
names and bytes, the endpoint, how TLS was spoken there, and what it serves now. No bus, no inbox, no lineages, no history, no
counts and nothing that follows from what is new.
"""

import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import asyncpg

from bench.ingest.looks import COLUMNS, Rows
from bench.ingest.telling import Stopwatch

BATCH = 1_000
"""Endpoints."""
_CREATED = "; ".join(f"CREATE TABLE bare_{table} (LIKE {table} INCLUDING ALL)" for table in COLUMNS)
TABLES = f"{_CREATED}; ALTER TABLE bare_sightings SET (fillfactor = 70)"
"""The one setting that `LIKE` leaves out."""
_STAGES = "; ".join(f"CREATE TEMP TABLE new_{table} (LIKE {table})" for table in COLUMNS)
_TRUNCATE = "TRUNCATE " + ", ".join(f"new_{table}" for table in COLUMNS)
_CHANGED = ("fingerprint", "chain_digest", "last_seen", "negotiated_digest")
"""Of what an endpoint serves now; all else that is there already stays."""


def _merge(table: str) -> str:
    named = ", ".join(f'"{column}"' for column in COLUMNS[table])
    merge = f"INSERT INTO bare_{table} ({named}) SELECT {named} FROM new_{table} ON CONFLICT"
    if table != "sightings":
        return f"{merge} DO NOTHING"
    changes = ", ".join(f"{column} = excluded.{column}" for column in _CHANGED)
    return f"{merge} (place_id) DO UPDATE SET {changes}"


_MERGES = tuple(map(_merge, COLUMNS))


def write(path: Path, endpoints: Sequence[Rows]) -> None:
    """Write the rows of endpoints for this program, by batches."""
    batches = []
    for start in range(0, len(endpoints), BATCH):
        part = endpoints[start : start + BATCH]
        batches.append({table: [row for rows in part for row in rows[table]] for table in COLUMNS})
    path.write_bytes(pickle.dumps(batches))


async def main(url: str, batches: Sequence[Rows]) -> None:
    """Copy and merge."""
    connection = await asyncpg.connect(url)
    for statement in _STAGES.split(";"):
        await connection.execute(statement)
    with Stopwatch():
        for batch in batches:
            async with connection.transaction():
                for table, columns in COLUMNS.items():
                    await _copy(connection, f"new_{table}", batch[table], columns=columns)
                for statement in _MERGES:
                    await connection.execute(statement)
                await connection.execute(_TRUNCATE)
    await connection.close()


async def _copy(connection: Any, table: str, rows: Any, *, columns: tuple[str, ...]) -> None:
    await connection.copy_records_to_table(table, records=rows, columns=columns)


if __name__ == "__main__":
    anyio.run(
        main, sys.argv[1], pickle.loads(Path(sys.argv[2]).read_bytes()), backend_options={"use_uvloop": True}
    )
