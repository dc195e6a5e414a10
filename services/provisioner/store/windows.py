"""Change windows and freezes: of a target, of the targets of a group, or of all."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from services.provisioner.store.scoped import holds_for, in_scope
from services.provisioner.store.tables import Deployment, Table
from shared.store import Instant, Json, Transaction
from shared.store.scopes import Scope


class ChangeWindow(Table, table=True):
    """Targets are changed only while one of their windows is open; those that have none, at any time."""

    __tablename__ = "change_windows"

    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(max_length=200)
    target_id: str | None = Field(default=None, max_length=36, index=True)
    group: str | None = Field(default=None, max_length=100)
    """With neither of the two it is for all targets."""
    time_zone: str = Field(max_length=100)
    weekly: list[dict[str, Any]] = Field(sa_type=Json)
    version: int = 1
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)


class Freeze(Table, table=True):
    """Targets are not changed from one instant to another."""

    __tablename__ = "freezes"

    id: str = Field(primary_key=True, max_length=36)
    reason: str = Field(sa_type=sa.Text)
    target_id: str | None = Field(default=None, max_length=36, index=True)
    group: str | None = Field(default=None, max_length=100)
    starts_at: datetime = Field(sa_type=Instant)
    ends_at: datetime = Field(sa_type=Instant, index=True)
    version: int = 1
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)


Timing = TypeVar("Timing", ChangeWindow, Freeze)


async def timings_of(
    session: AsyncSession, kind: type[Timing], *, target_id: str, groups: Collection[str]
) -> Sequence[Timing]:
    """Return the windows or freezes that hold for a target in these groups."""
    holds = holds_for(kind, target_id=target_id, groups=groups)
    return (await session.scalars(sa.select(kind).where(holds).order_by(col(kind.id)))).all()


async def timings(
    session: AsyncSession, kind: type[Timing], *, after: str | None, limit: int, scope: Scope
) -> Sequence[Timing]:
    """Return up to `limit + 1` of a scope, newest first; those for all targets are everybody's."""
    query = sa.select(kind).where(in_scope(kind, scope)).order_by(col(kind.id).desc()).limit(limit + 1)
    if after is not None:
        query = query.where(col(kind.id) < after)
    return (await session.scalars(query)).all()


async def delete_timings_of(tx: Transaction, target_id: str) -> None:
    """Forget the windows and freezes of a target."""
    for kind in (ChangeWindow, Freeze):
        for row in (await tx.session.scalars(sa.select(kind).where(col(kind.target_id) == target_id))).all():
            await tx.session.delete(row)


async def wake_timed(tx: Transaction, *, now: datetime) -> None:
    """Have what waits for a window looked at again: they have changed."""
    held = sa.update(Deployment).where(col(Deployment.hold).in_(("window", "freeze")))
    await tx.session.execute(held.values(next_attempt_at=now).execution_options(synchronize_session=False))
