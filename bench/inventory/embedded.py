"""Copies an inventory from PostgreSQL into the SQLite file of an embedded one, table by table."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from services.inventory.store.tables import Table
from shared.store import Database

AT_ONCE = 5_000
_OURS = ("signing_keys", "principals", "api_keys", "tokens")
"""What each installation makes for itself."""


async def copied(url: str, path: Path) -> int:
    """Copy all rows into a database that is migrated and empty; return how many there are."""
    large, small = Database(url, source="inventory"), Database(f"sqlite:///{path}", source="inventory")
    try:
        return sum(
            [
                await _copy(large, small, table)
                for table in Table.metadata.sorted_tables
                if table.name not in _OURS
            ]
        )
    finally:
        await large.close()
        await small.close()


async def _copy(large: Database, small: Database, table: sa.Table) -> int:
    columns = [column for column in table.c if column.computed is None]
    count = 0
    async with large.engine.connect() as source, small.transaction() as tx:
        to = await tx.session.connection()
        found = await source.stream(sa.select(*columns).execution_options(yield_per=AT_ONCE))
        async for part in found.mappings().partitions():
            rows: list[dict[str, Any]] = [dict(row) for row in part]
            await to.execute(sa.insert(table).prefix_with("OR REPLACE"), rows)
            count += len(rows)
    return count
