"""Scans and their results: claimed, held, listed and forgotten."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.discovery.store.tables import Result, Scan
from shared.store import Transaction, insert


async def is_scan_waiting(session: AsyncSession, *, now: datetime) -> bool:
    """Return whether there is a scan to be claimed."""
    return await session.scalar(_waiting(now).with_only_columns(col(Scan.id))) is not None


async def claim_scan(tx: Transaction, *, lease: str, until: datetime, now: datetime) -> Scan | None:
    """Take the oldest scan that is queued, or whose process has given no sign of life."""
    query = _waiting(now).with_for_update(skip_locked=True)
    scan: Scan | None = (await tx.session.scalars(query)).first()
    if scan is not None:
        scan.state = "running"
        scan.started_at = scan.started_at or now
        scan.lease, scan.lease_until = lease, until
    return scan


def _waiting(now: datetime) -> Any:
    is_free = sa.or_(col(Scan.lease_until).is_(None), col(Scan.lease_until) < now)
    is_open = col(Scan.state).in_(("queued", "running"))
    return sa.select(Scan).where(is_open, is_free).order_by(col(Scan.id)).limit(1)


async def keep_lease(tx: Transaction, scan_id: str, *, lease: str, until: datetime) -> bool:
    """Hold a scan for longer; return whether it is still ours and running."""
    mine = (col(Scan.id) == scan_id, col(Scan.lease) == lease, col(Scan.state) == "running")
    statement = sa.update(Scan).where(*mine).values(lease_until=until).returning(col(Scan.id))
    return (await tx.session.execute(statement)).first() is not None


async def end_lease(tx: Transaction, lease: str | None = None) -> None:
    """Let go of the scan held by this lease, or of all scans: the next who comes goes on with it."""
    statement = sa.update(Scan).values(lease=None, lease_until=None)
    await tx.session.execute(statement.where(col(Scan.lease) == lease) if lease else statement)


async def forget_results(tx: Transaction, *, finished_before: datetime) -> None:
    """Forget what came of each place of old scans; the scans and their counts stay."""
    old = sa.select(col(Scan.id)).where(col(Scan.finished_at) < finished_before)
    await tx.session.execute(sa.delete(Result).where(col(Result.scan_id).in_(old)))


async def scan_to_update(tx: Transaction, scan_id: str) -> Scan | None:
    """Return a scan, held until the transaction ends."""
    return await tx.session.get(Scan, scan_id, with_for_update=True)


async def list_scans(session: AsyncSession, *, after: str | None, limit: int) -> Sequence[Scan]:
    """Return scans, newest first."""
    query = sa.select(Scan).order_by(col(Scan.id).desc()).limit(limit + 1)
    if after:
        query = query.where(col(Scan.id) < after)
    return (await session.scalars(query)).all()


async def list_results(
    session: AsyncSession, scan_id: str, *, outcome: str | None, after: int | None, limit: int
) -> Sequence[Result]:
    """Return a scan's results in the order of the walk."""
    query = sa.select(Result).where(col(Result.scan_id) == scan_id).order_by(col(Result.number))
    if outcome:
        query = query.where(col(Result.outcome) == outcome)
    if after is not None:
        query = query.where(col(Result.number) > after)
    return (await session.scalars(query.limit(limit + 1))).all()


async def write_results(tx: Transaction, rows: Sequence[dict[str, Any]]) -> None:
    """Keep results; one that is there already is left as it is."""
    if rows:
        await tx.session.execute(insert(tx, Result).values(list(rows)).on_conflict_do_nothing())
