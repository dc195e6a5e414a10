"""Custom fields, and how often they have a value."""

from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.store.organised import FieldRow, FieldValue
from shared.store import Transaction, insert


async def definitions(session: AsyncSession, names: Collection[str] | None = None) -> Mapping[str, FieldRow]:
    """Return the custom fields, or those of these names."""
    query = sa.select(FieldRow).order_by(col(FieldRow.name))
    if names is not None:
        query = query.where(col(FieldRow.name).in_(names))
    return {row.name: row for row in (await session.scalars(query)).all()}


async def page(session: AsyncSession, *, after: str | None, limit: int) -> Sequence[FieldRow]:
    """Return `limit + 1` custom fields by their names."""
    query = sa.select(FieldRow).order_by(col(FieldRow.name)).limit(limit + 1)
    return (await session.scalars(query if after is None else query.where(col(FieldRow.name) > after))).all()


async def add_field(tx: Transaction, row: FieldRow) -> bool:
    """Add a custom field; return False where the name is taken."""
    new = insert(tx, FieldRow).values(row.model_dump()).on_conflict_do_nothing().returning(col(FieldRow.name))
    return await tx.session.scalar(new) is not None


async def held_field(tx: Transaction, name: str) -> FieldRow | None:
    """Return a custom field, held until the transaction ends."""
    query = sa.select(FieldRow).where(col(FieldRow.name) == name).with_for_update()
    found: FieldRow | None = await tx.session.scalar(query.execution_options(populate_existing=True))
    return found


async def values_of(session: AsyncSession, name: str, *, among: Collection[str] | None = None) -> int:
    """Return how many certificates have a value for a field, or one of these."""
    query = sa.select(sa.func.count()).where(col(FieldValue.name) == name)
    if among is not None:
        query = query.where(col(FieldValue.text).in_(among))
    return int(await session.scalar(query) or 0)


async def forget_field(tx: Transaction, name: str) -> None:
    """Delete a custom field and all its values."""
    await tx.session.execute(sa.delete(FieldValue).where(col(FieldValue.name) == name))
    await tx.session.execute(sa.delete(FieldRow).where(col(FieldRow.name) == name))
