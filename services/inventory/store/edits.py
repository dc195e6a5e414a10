"""Edits of many certificates, and how far they have come."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.store.organised import EditRow
from shared.store import Transaction


async def held_edit(tx: Transaction, edit_id: str) -> EditRow | None:
    """Return an edit that is not over, held; None where it is, or where another process works on it now."""
    query = sa.select(EditRow).where(col(EditRow.id) == edit_id, col(EditRow.due_at).is_not(None))
    query = query.with_for_update(skip_locked=True).execution_options(populate_existing=True)
    found: EditRow | None = await tx.session.scalar(query)
    return found


async def due_edit(session: AsyncSession, *, now: datetime) -> str | None:
    """Return the id of an edit that is to be gone on with."""
    query = (
        sa.select(col(EditRow.id)).where(col(EditRow.due_at) <= now).order_by(col(EditRow.due_at)).limit(1)
    )
    found: str | None = await session.scalar(query)
    return found


async def edit(session: AsyncSession, edit_id: str) -> EditRow | None:
    """Return an edit."""
    query = sa.select(EditRow).where(col(EditRow.id) == edit_id)
    found: EditRow | None = await session.scalar(query.execution_options(populate_existing=True))
    return found


async def page(session: AsyncSession, *, after: str | None, limit: int, by: str | None) -> Sequence[EditRow]:
    """Return `limit + 1` edits, newest first; `by` one person, or by all."""
    query = sa.select(EditRow).order_by(col(EditRow.id).desc()).limit(limit + 1)
    if by is not None:
        query = query.where(col(EditRow.created_by) == by)
    return (await session.scalars(query if after is None else query.where(col(EditRow.id) < after))).all()
