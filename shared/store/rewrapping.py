"""Wraps what is sealed anew when the key-encryption key changes: batch by batch, beside whoever reads and writes.

Every row says itself which key it is sealed with, so there is no progress to keep: whoever dies is followed by one that
finds what is left.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from shared.sealing import CannotOpen, Sealer
from shared.store import Database
from shared.store.columns import Sealed, SealedOwn
from shared.store.plumbing import AUDIT_STATE

BATCH = 500
PREFIX = 9
"""Bytes that say how, and with which key, something is sealed."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What has been done of one column."""

    column: str
    """`table.column`."""
    rewrapped: int
    unreadable: int
    """Sealed with a key that is not known here."""
    of: int
    """How many there were to do when it began."""


def sealed_columns(metadata: Sequence[sa.MetaData]) -> Iterator[sa.Column[Any]]:
    """Yield the columns of a datastore that are sealed."""
    for table in (table for each in metadata for table in each.sorted_tables):
        yield from (column for column in table.columns if isinstance(column.type, Sealed))


async def counts(database: Database, metadata: Sequence[sa.MetaData]) -> Counter[bytes]:
    """Return how many secrets are sealed with which key, by what they begin with."""
    found: Counter[bytes] = Counter()
    async with database.read() as session:
        for column in sealed_columns(metadata):
            prefix = prefix_of(column)
            query = sa.select(prefix, sa.func.count()).where(sa.func.length(column) > PREFIX).group_by(prefix)
            for value, count in await session.execute(query):
                found[bytes(value)] += count
    return found


async def prefixes_of_own(database: Database, metadata: Sequence[sa.MetaData]) -> set[bytes]:
    """Return what a service's own keys begin with, which are few: it tells which keys seal this datastore."""
    found: set[bytes] = set()
    async with database.read() as session:
        for column in filter(is_own, sealed_columns(metadata)):
            query = sa.select(prefix_of(column)).where(sa.func.length(column) > PREFIX)
            found.update(bytes(value) for value in await session.scalars(query))
    return found


def is_own(column: sa.Column[Any]) -> bool:
    """Return whether a column holds keys that a service makes anew by itself where there are none."""
    return isinstance(column.type, SealedOwn) or column is AUDIT_STATE.c.private_key


async def rewrap(
    database: Database, metadata: Sequence[sa.MetaData], sealer: Sealer
) -> AsyncIterator[Progress]:
    """Wrap all that another key has wrapped; yield what is done after every batch.

    A row that somebody changes meanwhile is left as it was changed: that was sealed by the present key, or is found
    the next time.
    """
    for column in sealed_columns(metadata):
        total = await _left(database, column, sealer)
        progress = Progress(column=str(column), rewrapped=0, unreadable=0, of=total)
        after: Any = None
        while total:
            rows, unreadable = await _batch(database, column, sealer, after=after)
            if not rows:
                break
            after = rows[-1].key
            progress = Progress(
                column=progress.column,
                rewrapped=progress.rewrapped + len(rows) - unreadable,
                unreadable=progress.unreadable + unreadable,
                of=total,
            )
            yield progress


async def _batch(
    database: Database, column: sa.Column[Any], sealer: Sealer, *, after: Any
) -> tuple[list[Any], int]:
    [key] = column.table.primary_key.columns
    query = sa.select(key.label("key"), column.label("sealed")).where(_is_other(column, sealer))
    query = query.order_by(key).limit(BATCH).with_for_update()
    if after is not None:
        query = query.where(key > after)
    async with database.transaction() as tx:
        rows: list[Any] = list((await tx.session.execute(query)).all())
        changed = []
        for row in rows:
            try:
                changed.append({"b_key": row.key, "b_old": row.sealed, "b_new": sealer.rewrap(row.sealed)})
            except CannotOpen:
                continue
        if changed:
            is_as_read = sa.and_(key == sa.bindparam("b_key"), column == sa.bindparam("b_old"))
            update = sa.update(column.table).where(is_as_read).values({column: sa.bindparam("b_new")})
            await (await tx.session.connection()).execute(update, changed)
    return rows, len(rows) - len(changed)


async def _left(database: Database, column: sa.Column[Any], sealer: Sealer) -> int:
    query = sa.select(sa.func.count()).select_from(column.table).where(_is_other(column, sealer))
    async with database.read() as session:
        return int(await session.scalar(query) or 0)


def _is_other(column: sa.Column[Any], sealer: Sealer) -> sa.ColumnElement[bool]:
    return sa.and_(sa.func.length(column) > PREFIX, prefix_of(column) != sealer.prefix)


def prefix_of(column: sa.Column[Any]) -> sa.ColumnElement[bytes]:
    """Return what says how, and with which key, a sealed column is sealed."""
    return sa.func.substr(column, 1, PREFIX, type_=sa.LargeBinary())
