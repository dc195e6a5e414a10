"""Groups of sources, and how far the jobs that read them are."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.discovery.store.sources import OPEN, SourceRow, SourceRun
from shared.store import Transaction
from shared.store.scopes import Scope, within


@dataclass(frozen=True, kw_only=True)
class JobCounts:
    """How many runs of a job are in each state; they add up to `total`."""

    total: int = 0
    queued: int = 0
    running: int = 0
    waiting: int = 0
    """Their host did not answer; they are tried again."""
    finished: int = 0
    failed: int = 0
    holdings: int = 0


async def sources_named(tx: Transaction, names: Sequence[str]) -> dict[str, SourceRow]:
    """Return the sources of these names, held until the transaction ends."""
    query = sa.select(SourceRow).where(col(SourceRow.name).in_(names)).order_by(col(SourceRow.id))
    return {row.name: row for row in (await tx.session.scalars(query.with_for_update())).all()}


async def sources_in(tx: Transaction, group: str, *, scope: Scope) -> Sequence[SourceRow]:
    """Return the sources of a group that are in a scope, held until the transaction ends."""
    query = sa.select(SourceRow).where(col(SourceRow.group) == group, within(SourceRow.groups, scope))
    return (await tx.session.scalars(query.order_by(col(SourceRow.id)).with_for_update())).all()


async def open_runs_in(tx: Transaction, group: str, *, scope: Scope) -> Sequence[SourceRun]:
    """Return the runs of such sources that are not done, held until the transaction ends."""
    members = sa.select(col(SourceRow.id)).where(
        col(SourceRow.group) == group, within(SourceRow.groups, scope)
    )
    query = sa.select(SourceRun).where(col(SourceRun.source_id).in_(members), col(SourceRun.state).in_(OPEN))
    return (await tx.session.scalars(query.with_for_update())).all()


def _in_scope(scope: Scope) -> sa.ColumnElement[bool]:
    """Return the condition that a run's source is in a scope."""
    if scope is None:
        return sa.true()
    its_source = (col(SourceRow.id) == col(SourceRun.source_id), within(SourceRow.groups, scope))
    return sa.exists().where(*its_source)


async def job_counts(session: AsyncSession, job_id: str, *, scope: Scope) -> JobCounts:
    """Return how far a job is with the sources of a scope."""
    is_waiting = sa.and_(
        col(SourceRun.state) == "running", col(SourceRun.lease).is_(None), col(SourceRun.error).is_not(None)
    )
    state = sa.case((is_waiting, "waiting"), else_=col(SourceRun.state))
    query = (
        sa.select(state, sa.func.count(), sa.func.sum(col(SourceRun.holdings)))
        .where(col(SourceRun.job_id) == job_id, _in_scope(scope))
        .group_by(state)
    )
    rows = (await session.execute(query)).all()
    counts = {name: count for name, count, _ in rows}
    return JobCounts(total=sum(counts.values()), holdings=sum(int(held) for _, _, held in rows), **counts)


async def list_job_runs(
    session: AsyncSession, job_id: str, *, state: str | None, after: str | None, limit: int, scope: Scope
) -> Sequence[SourceRun]:
    """Return up to `limit + 1` runs of a job with the sources of a scope, newest first."""
    query = sa.select(SourceRun).where(col(SourceRun.job_id) == job_id, _in_scope(scope))
    if state:
        query = query.where(col(SourceRun.state) == state)
    if after:
        query = query.where(col(SourceRun.id) < after)
    return (await session.scalars(query.order_by(col(SourceRun.id).desc()).limit(limit + 1))).all()
