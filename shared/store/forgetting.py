"""After the loss of a key-encryption key: what it has sealed is emptied, so that everything else goes on.

There is no second way in, so nothing is lost here that was not lost before.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from shared.audit import Change
from shared.sealing import Sealer
from shared.store import Database, Transaction
from shared.store.columns import SealedOwn
from shared.store.migrate import Schema
from shared.store.plumbing import AUDIT_STATE
from shared.store.rewrapping import is_own, prefix_of, sealed_columns


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """What none of the keys at hand opens, of one column."""

    column: str
    """`table.column`."""
    count: int
    is_made_anew: bool
    """By itself; else somebody must give it again, where it is still needed."""


async def unreadable(database: Database, schema: Schema, sealer: Sealer) -> list[Unreadable]:
    """Return what none of the sealer's keys opens."""
    found = []
    async with database.read() as session:
        for column in sealed_columns(schema.metadata):
            lost = sa.select(sa.func.count()).select_from(column.table).where(_is_lost(column, sealer))
            found.append(_told(column, await session.scalar(lost) or 0))
    return [each for each in found if each.count]


async def forget_unreadable(database: Database, schema: Schema, sealer: Sealer) -> list[Unreadable]:
    """Empty what none of the sealer's keys opens, in one transaction that records it; tell what that was."""
    async with database.transaction() as tx:
        found = [await _forget(tx, column, sealer) for column in sealed_columns(schema.metadata)]
        forgotten = [each for each in found if each.count]
        for each in forgotten:
            tx.record(Change(kind="secrets", verb="forgotten", id=each.column, after={"count": each.count}))
    return forgotten


async def _forget(tx: Transaction, column: sa.Column[Any], sealer: Sealer) -> Unreadable:
    is_lost = _is_lost(column, sealer)
    if isinstance(column.type, SealedOwn):
        statement: Any = sa.delete(column.table).where(is_lost)
    else:
        emptied: dict[Any, Any] = {column: None if column.nullable else b""}
        if (
            column is AUDIT_STATE.c.private_key
        ):  # a new key signs from now on, and a new one of who keeps the trail
            emptied |= {AUDIT_STATE.c.key_id: None, AUDIT_STATE.c.keeper_key: None}
        statement = sa.update(column.table).where(is_lost).values(emptied)
    result: Any = await tx.session.execute(statement)
    return _told(column, result.rowcount)


def _is_lost(column: sa.Column[Any], sealer: Sealer) -> sa.ColumnElement[bool]:
    return sa.and_(sa.func.length(column) > 0, prefix_of(column).not_in(sorted(sealer.prefixes)))


def _told(column: sa.Column[Any], count: int) -> Unreadable:
    return Unreadable(column=str(column), count=count, is_made_anew=is_own(column))
