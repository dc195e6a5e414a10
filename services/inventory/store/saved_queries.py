"""Questions that are asked again and again: one's own, and those that others share."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.store.tables import SavedQueryRow
from shared.store import Transaction


def _open_to(caller: str) -> sa.ColumnElement[bool]:
    return sa.or_(col(SavedQueryRow.owner_id) == caller, col(SavedQueryRow.is_shared))


async def page(
    session: AsyncSession, *, caller: str, after: str | None, limit: int
) -> Sequence[SavedQueryRow]:
    """Return `limit + 1` questions that the caller may use, the oldest first."""
    query = sa.select(SavedQueryRow).where(_open_to(caller)).order_by(col(SavedQueryRow.id)).limit(limit + 1)
    if after is not None:
        query = query.where(col(SavedQueryRow.id) > after)
    return (await session.scalars(query)).all()


async def saved_query(session: AsyncSession, query_id: str, *, caller: str) -> SavedQueryRow | None:
    """Return a question that the caller may use."""
    query = sa.select(SavedQueryRow).where(col(SavedQueryRow.id) == query_id, _open_to(caller))
    found: SavedQueryRow | None = await session.scalar(query)
    return found


async def held(tx: Transaction, query_id: str, *, caller: str) -> SavedQueryRow | None:
    """Return a question that the caller may use, held until the transaction ends."""
    query = sa.select(SavedQueryRow).where(col(SavedQueryRow.id) == query_id, _open_to(caller))
    query = query.with_for_update().execution_options(populate_existing=True)
    found: SavedQueryRow | None = await tx.session.scalar(query)
    return found
