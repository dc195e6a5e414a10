"""Scans that repeat, and when they are due."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from services.discovery.store.tables import Scan, Table
from shared.store import Instant, Json, Transaction
from shared.store.scopes import Scope, within


class Schedule(Table, table=True):
    """A scan that repeats."""

    __tablename__ = "schedules"

    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(max_length=100, unique=True)
    scan: dict[str, Any] = Field(sa_type=Json)
    """What is asked of each scan."""
    cron: str | None = Field(default=None, max_length=100)
    every: float | None = None
    """Seconds."""
    timezone: str = Field(max_length=100)
    jitter: float = 0
    """Seconds."""
    quiet_hours: list[dict[str, Any]] = Field(sa_type=Json)
    is_enabled: bool = True
    groups: list[str] = Field(default_factory=list, sa_type=Json)
    """Its scans are in them too."""
    next_occurrence: datetime = Field(sa_type=Instant)
    next_run_at: datetime = Field(sa_type=Instant, index=True)
    last_scan_id: str | None = Field(default=None, max_length=36)
    last_started_at: datetime | None = Field(default=None, sa_type=Instant)
    last_error: str | None = Field(default=None, max_length=500)
    skipped: int = 0
    """Occurrences at which the scan before was not done yet."""
    is_resting: bool = False
    """Its scan was paused by quiet hours, and goes on after them."""
    version: int = 1
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)
    updated_at: datetime = Field(sa_type=Instant)


async def list_schedules(
    session: AsyncSession, *, after: str | None, limit: int, scope: Scope
) -> Sequence[Schedule]:
    """Return up to `limit + 1` schedules of a scope, newest first."""
    query = sa.select(Schedule).where(within(Schedule.groups, scope))
    query = query.order_by(col(Schedule.id).desc()).limit(limit + 1)
    if after:
        query = query.where(col(Schedule.id) < after)
    return (await session.scalars(query)).all()


async def schedule_to_update(tx: Transaction, schedule_id: str) -> Schedule | None:
    """Return a schedule, held until the transaction ends."""
    return await tx.session.get(Schedule, schedule_id, with_for_update=True)


async def is_schedule_due(session: AsyncSession, *, now: datetime) -> bool:
    """Return whether there is a schedule to be run."""
    return await session.scalar(_due(now).with_only_columns(col(Schedule.id))) is not None


async def due_schedule(tx: Transaction, *, now: datetime) -> Schedule | None:
    """Return the schedule that is due the longest, held until the transaction ends; no two get the same."""
    found: Schedule | None = (await tx.session.scalars(_due(now).with_for_update(skip_locked=True))).first()
    return found


def _due(now: datetime) -> Any:
    is_due = (col(Schedule.is_enabled).is_(True), col(Schedule.next_run_at) <= now)
    return sa.select(Schedule).where(*is_due).order_by(col(Schedule.next_run_at)).limit(1)


async def schedules_at_work(session: AsyncSession) -> Sequence[tuple[Schedule, str]]:
    """Return the schedules whose last scan is not done, and the state of that scan."""
    query = (
        sa.select(Schedule, col(Scan.state))
        .join(Scan, col(Scan.id) == col(Schedule.last_scan_id))
        .where(col(Scan.state).in_(("queued", "running", "paused")))
        .order_by(col(Schedule.id))
    )
    return [(row[0], row[1]) for row in (await session.execute(query)).all()]
