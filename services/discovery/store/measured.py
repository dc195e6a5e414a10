"""What discovery tells Prometheus of its state."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.discovery.store.schedules import Schedule
from services.discovery.store.sources import SourceRow, SourceRun
from services.discovery.store.tables import Scan
from shared.store.measured import OVERDUE, Family, Reading

SCANS = Family("everleaf_scans", "Scans that are not finished.")
SCAN_AGE = Family(
    "everleaf_scan_age_seconds", "Since the last scan was finished; nothing where none ever was."
)
SOURCES_FAILING = Family("everleaf_sources_failing", "Sources whose last reading has failed.")


async def measured(session: AsyncSession, now: datetime) -> list[Reading]:
    """Read how fresh what is known is."""
    latest = await session.scalar(sa.select(sa.func.max(col(Scan.finished_at))))
    open_ = await session.scalar(
        sa.select(sa.func.count()).select_from(Scan).where(col(Scan.state).in_(("queued", "running")))
    )
    due = sa.select(sa.func.min(col(Schedule.next_run_at))).where(
        col(Schedule.is_enabled), ~col(Schedule.is_resting), col(Schedule.next_run_at) <= now
    )
    oldest = await session.scalar(due)
    is_last = col(SourceRow.last_run_id) == col(SourceRun.id)
    failing = sa.select(sa.func.count()).select_from(SourceRow).join(SourceRun, is_last)
    readings = [
        SCANS.of(value=open_ or 0),
        OVERDUE.of("scans", value=(now - oldest).total_seconds() if oldest is not None else 0),
        SOURCES_FAILING.of(value=await session.scalar(failing.where(col(SourceRun.state) == "failed")) or 0),
    ]
    if latest is not None:
        readings.append(SCAN_AGE.of(value=(now - latest).total_seconds()))
    return readings
