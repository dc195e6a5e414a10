"""`python -m bench.ingest.bare DATABASE ROWS`: the same rows, read already, by COPY and a merge, as fast as that goes.

No bus, no inbox, no history and nothing that follows from what is new: certificates with all the columns and indexes that the
inventory has, their bytes, and what each endpoint serves.
"""

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import anyio
import asyncpg

from bench.ingest.looks import COLUMNS
from bench.ingest.telling import Stopwatch

BATCH = 1_000
TABLES = """
CREATE TABLE bare_certificates (LIKE certificates INCLUDING ALL);
CREATE TABLE bare_ders (LIKE certificate_ders INCLUDING ALL);
CREATE TABLE bare_sightings (place_id varchar(32) PRIMARY KEY, fingerprint varchar(64), last_seen timestamptz)
 WITH (fillfactor = 70)
"""
_STAGES = """
CREATE TEMP TABLE new_certificates (LIKE certificates);
CREATE TEMP TABLE new_ders (LIKE certificate_ders);
CREATE TEMP TABLE new_sightings (LIKE bare_sightings)
"""
_NAMED = ", ".join(COLUMNS)
_MERGES = (
    f"INSERT INTO bare_certificates ({_NAMED}) SELECT {_NAMED} FROM new_certificates ON CONFLICT DO NOTHING",
    "INSERT INTO bare_ders SELECT * FROM new_ders ON CONFLICT DO NOTHING",
    (
        "INSERT INTO bare_sightings SELECT * FROM new_sightings ON CONFLICT (place_id)"
        " DO UPDATE SET fingerprint = excluded.fingerprint, last_seen = excluded.last_seen"
    ),
)
Rows = list[tuple[Any, ...]]


def write(path: Path, *, certificates: Rows, ders: Rows, sightings: Rows) -> None:
    """Write the rows for this program."""
    path.write_bytes(pickle.dumps((certificates, ders, sightings)))


def _read(path: Path) -> tuple[Rows, Rows, Rows]:
    certificates, ders, sightings = pickle.loads(path.read_bytes())
    json_at = [COLUMNS.index(name) for name in ("names", "chain")]
    return [_written(row, json_at) for row in certificates], ders, sightings


async def main(url: str, certificates: Rows, ders: Rows, sightings: Rows) -> None:
    """Copy and merge."""
    connection = await asyncpg.connect(url)
    for statement in _STAGES.split(";"):
        await connection.execute(statement)
    with Stopwatch():
        for start in range(0, len(certificates), BATCH):
            part = slice(start, start + BATCH)
            async with connection.transaction():
                await _copy(connection, "new_certificates", certificates[part], columns=COLUMNS)
                await _copy(connection, "new_ders", ders[part], columns=("fingerprint", "der"))
                columns = ("place_id", "fingerprint", "last_seen")
                await _copy(connection, "new_sightings", sightings[part], columns=columns)
                for statement in _MERGES:
                    await connection.execute(statement)
                await connection.execute("TRUNCATE new_certificates, new_ders, new_sightings")
    await connection.close()


async def _copy(connection: Any, table: str, rows: Rows, *, columns: tuple[str, ...]) -> None:
    await connection.copy_records_to_table(table, records=rows, columns=columns)


def _written(row: tuple[Any, ...], json_at: list[int]) -> tuple[Any, ...]:
    return tuple(json.dumps(value) if at in json_at else value for at, value in enumerate(row))


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], *_read(Path(sys.argv[2])), backend_options={"use_uvloop": True})
