"""Watches of sources: where each stands, and who holds it."""

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from services.discovery.store.sources import SourceRow
from services.discovery.store.tables import Table
from shared.store import Instant, Transaction, insert


class SourceWatch(Table, table=True):
    """A source that tells of changes as they happen; made when it is watched first."""

    __tablename__ = "source_watches"

    source_id: str = Field(primary_key=True, max_length=36)
    source_version: int
    """Of the source, as it is watched: another one begins anew."""
    state: str = Field(max_length=20)
    """starting, watching, off or failed."""
    position: str | None = Field(default=None, sa_type=sa.Text)
    """From where it goes on."""
    is_changed: bool = False
    """There is something that no run has read."""
    last_started_at: datetime | None = Field(default=None, sa_type=Instant)
    """When it started a run last."""
    attempts: int = 0
    """How often in a row it has failed."""
    next_attempt_at: datetime = Field(sa_type=Instant)
    error: str | None = Field(default=None, max_length=1000)
    next_step: str | None = Field(default=None, max_length=500)
    lease: str | None = Field(default=None, max_length=36)
    lease_until: datetime | None = Field(default=None, sa_type=Instant)
    updated_at: datetime = Field(sa_type=Instant)


def _due(kinds: Collection[str], now: datetime) -> sa.Select[str, int]:
    watch = SourceWatch
    is_free = sa.or_(col(watch.lease_until).is_(None), col(watch.lease_until) < now)
    is_other = col(watch.source_version) != SourceRow.version
    is_due = sa.or_(col(watch.next_attempt_at) <= now, is_other)
    return (
        sa.select(col(SourceRow.id), col(SourceRow.version))
        .outerjoin(watch, col(watch.source_id) == col(SourceRow.id))
        .where(col(SourceRow.kind).in_(kinds), col(SourceRow.every).is_not(None))
        .where(sa.or_(col(watch.source_id).is_(None), sa.and_(is_free, is_due)))
        .order_by(col(SourceRow.id))
        .limit(1)
    )


async def is_watch_due(session: AsyncSession, *, kinds: Collection[str], now: datetime) -> bool:
    """Return whether there is a source that nobody watches and somebody should."""
    return (await session.execute(_due(kinds, now))).first() is not None


async def claim_watch(
    tx: Transaction, *, kinds: Collection[str], lease: str, until: datetime, now: datetime
) -> SourceWatch | None:
    """Take a source that nobody watches; where another replica was quicker, None."""
    found = (await tx.session.execute(_due(kinds, now))).first()
    if found is None:
        return None
    source_id, version = found
    row = SourceWatch(
        source_id=source_id,
        source_version=version,
        state="starting",
        next_attempt_at=now,
        lease=lease,
        lease_until=until,
        updated_at=now,
    )
    held = {"source_version": version, "lease": lease, "lease_until": until, "next_attempt_at": now}
    statement = insert(tx, SourceWatch).values(row.model_dump())
    is_free = sa.or_(col(SourceWatch.lease_until).is_(None), col(SourceWatch.lease_until) < now)
    statement = statement.on_conflict_do_update(index_elements=["source_id"], set_=held, where=is_free)
    taken = (await tx.session.execute(statement.returning(col(SourceWatch.source_id)))).first()
    return await tx.session.get(SourceWatch, source_id, populate_existing=True) if taken else None


async def held_watch(tx: Transaction, source_id: str, *, lease: str) -> SourceWatch | None:
    """Return a watch that we hold, held until the transaction ends; None where it is not ours, or its source is another."""
    query = (
        sa.select(SourceWatch)
        .join(SourceRow, col(SourceRow.id) == col(SourceWatch.source_id))
        .where(col(SourceWatch.source_id) == source_id, col(SourceWatch.lease) == lease)
        .where(col(SourceWatch.source_version) == col(SourceRow.version))
        .with_for_update(of=SourceWatch)
    )
    return (await tx.session.scalars(query)).first()


async def end_watch_lease(tx: Transaction, lease: str | None = None) -> None:
    """Let go of the watch held by this lease, or of all."""
    statement = sa.update(SourceWatch).values(lease=None, lease_until=None)
    await tx.session.execute(statement.where(col(SourceWatch.lease) == lease) if lease else statement)


async def watch_of(session: AsyncSession, source_id: str) -> SourceWatch | None:
    """Return the watch of a source."""
    return await session.get(SourceWatch, source_id)


async def forget_watch(tx: Transaction, source_id: str) -> None:
    """Delete the watch of a source."""
    await tx.session.execute(sa.delete(SourceWatch).where(col(SourceWatch.source_id) == source_id))
