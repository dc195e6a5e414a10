"""Stores that keep secrets, and which sources refer to them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from services.discovery.store.sources import SourceRow
from services.discovery.store.tables import Table
from shared.store import Instant, Json, Sealed, Transaction
from shared.store.scopes import Scope, within


class SecretStoreRow(Table, table=True):
    """Something that keeps credentials of sources."""

    __tablename__ = "secret_stores"

    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(max_length=200, unique=True)
    """Never changed: sources keep it beside the id."""
    kind: str = Field(max_length=50)
    settings: dict[str, Any] = Field(sa_type=Json)
    credential: bytes = Field(sa_type=Sealed)
    """Sealed to this row."""
    groups: list[str] = Field(default_factory=list, sa_type=Json)
    version: int = 1
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)
    updated_at: datetime = Field(sa_type=Instant)


async def list_secret_stores(
    session: AsyncSession, *, after: str | None, limit: int, scope: Scope
) -> Sequence[SecretStoreRow]:
    """Return up to `limit + 1` stores of a scope, newest first."""
    query = sa.select(SecretStoreRow).where(within(SecretStoreRow.groups, scope))
    query = query.order_by(col(SecretStoreRow.id).desc()).limit(limit + 1)
    if after:
        query = query.where(col(SecretStoreRow.id) < after)
    return (await session.scalars(query)).all()


async def secret_store_named(tx: Transaction, name: str) -> SecretStoreRow | None:
    """Return the store of this name, held until the transaction ends: whoever refers to it finds it there."""
    query = sa.select(SecretStoreRow).where(col(SecretStoreRow.name) == name).with_for_update()
    return (await tx.session.scalars(query)).first()


async def secret_store_to_update(tx: Transaction, store_id: str) -> SecretStoreRow | None:
    """Return a store, held until the transaction ends."""
    return await tx.session.get(SecretStoreRow, store_id, with_for_update=True)


async def sources_referring(session: AsyncSession, store_id: str, *, limit: int) -> Sequence[SourceRow]:
    """Return some of the sources whose credential lies in a store."""
    query = sa.select(SourceRow).where(col(SourceRow.secret_store_id) == store_id)
    return (await session.scalars(query.order_by(col(SourceRow.id)).limit(limit))).all()
