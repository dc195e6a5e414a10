"""Queries on reports that are mailed again and again, and on what their readers may see."""

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.notifier.store.pages import page
from services.notifier.store.tables import SUBJECTS, ReportSchedule
from shared.store import Transaction
from shared.store.scopes import Scope, within


async def reports_page(
    session: AsyncSession, *, after: str | None, limit: int, scope: Scope
) -> Sequence[ReportSchedule]:
    """Return a page of the schedules of a scope."""
    query = sa.select(ReportSchedule).where(within(ReportSchedule.groups, scope))
    found: Sequence[ReportSchedule] = await page(
        session, query, col(ReportSchedule.id), after=after, limit=limit
    )
    return found


async def held_report(tx: Transaction, schedule_id: str) -> ReportSchedule | None:
    """Return a schedule, held until the transaction ends."""
    query = sa.select(ReportSchedule).where(col(ReportSchedule.id) == schedule_id).with_for_update()
    found: ReportSchedule | None = await tx.session.scalar(query)
    return found


async def due_report(tx: Transaction, *, now: datetime) -> ReportSchedule | None:
    """Return the most overdue schedule that nobody is at, held."""
    query = (
        sa.select(ReportSchedule)
        .where(
            col(ReportSchedule.next_at) <= now,
            sa.or_(col(ReportSchedule.lease_until).is_(None), col(ReportSchedule.lease_until) <= now),
        )
        .order_by(col(ReportSchedule.next_at), col(ReportSchedule.id))
        .limit(1)
    )
    found: ReportSchedule | None = await tx.session.scalar(query.with_for_update(skip_locked=True))
    return found


async def lineages_within(session: AsyncSession, lineage_ids: Collection[str], *, scope: Scope) -> set[str]:
    """Return those of some lineages that are in a scope."""
    return await SUBJECTS.among(session, lineage_ids, scope)
