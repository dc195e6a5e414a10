"""The places that have served certificates."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.discovery.store.tables import KnownPlace
from shared.store import Transaction, insert


async def list_places(session: AsyncSession, *, after: str | None, limit: int) -> Sequence[KnownPlace]:
    """Return known places by key."""
    query = sa.select(KnownPlace).order_by(col(KnownPlace.key)).limit(limit + 1)
    if after:
        query = query.where(col(KnownPlace.key) > after)
    return (await session.scalars(query)).all()


async def see_places(tx: Transaction, rows: Sequence[dict[str, Any]]) -> None:
    """Keep what the places serve now; rows have distinct keys."""
    if not rows:
        return
    statement = insert(tx, KnownPlace)
    changes = {name: statement.excluded[name] for name in ("fingerprint", "last_seen", "misses", "missed_at")}
    await tx.session.execute(
        statement.values(list(rows)).on_conflict_do_update(index_elements=["key"], set_=changes)
    )


async def missed_places(tx: Transaction, keys: Sequence[str]) -> Sequence[KnownPlace]:
    """Return those of the places that are known, held until the transaction ends."""
    query = sa.select(KnownPlace).where(col(KnownPlace.key).in_(keys)).order_by(col(KnownPlace.key))
    query = query.with_for_update()
    return (await tx.session.scalars(query)).all()
