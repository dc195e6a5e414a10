"""Scans and their results: claimed, held, listed and forgotten."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.discovery.domain.answers import Outcome
from services.discovery.store.tables import Result, Scan
from shared.store import Transaction, insert, write_rows
from shared.store.scopes import Scope, within


async def is_scan_waiting(session: AsyncSession, *, now: datetime) -> bool:
    """Return whether there is a scan whose way is to be laid out, or laid out further."""
    return await session.scalar(_waiting(now).with_only_columns(col(Scan.id))) is not None


async def claim_scan(tx: Transaction, *, lease: str, until: datetime, now: datetime) -> Scan | None:
    """Take the oldest such scan that nobody lays out."""
    query = _waiting(now).with_for_update(skip_locked=True)
    scan: Scan | None = (await tx.session.scalars(query)).first()
    if scan is not None:
        if scan.state == "queued":
            scan.state, scan.started_at, scan.active_since = "running", scan.started_at or now, now
        scan.lease, scan.lease_until = lease, until
    return scan


def _waiting(now: datetime) -> Any:
    is_free = sa.or_(col(Scan.lease_until).is_(None), col(Scan.lease_until) < now)
    is_open = col(Scan.state).in_(("queued", "running"))
    is_walked = sa.and_(col(Scan.rounds) == 1, col(Scan.position) >= col(Scan.total))
    is_due = sa.or_(col(Scan.rounds) == 0, is_walked)
    return sa.select(Scan).where(is_open, is_free, is_due).order_by(col(Scan.id)).limit(1)


async def keep_lease(tx: Transaction, scan_id: str, *, lease: str, until: datetime) -> bool:
    """Hold a scan for longer; return whether it is still ours and running."""
    mine = (col(Scan.id) == scan_id, col(Scan.lease) == lease, col(Scan.state) == "running")
    statement = sa.update(Scan).where(*mine).values(lease_until=until).returning(col(Scan.id))
    return (await tx.session.execute(statement)).first() is not None


async def end_lease(tx: Transaction, lease: str | None = None) -> None:
    """Let go of the scan held by this lease, or of all scans: the next who comes lays it out."""
    statement = sa.update(Scan).values(lease=None, lease_until=None)
    await tx.session.execute(statement.where(col(Scan.lease) == lease) if lease else statement)


async def forget_results(tx: Transaction, *, finished_before: datetime) -> None:
    """Forget what came of each place of old scans; the scans and their counts stay."""
    old = sa.select(col(Scan.id)).where(col(Scan.finished_at) < finished_before)
    await tx.session.execute(sa.delete(Result).where(col(Result.scan_id).in_(old)))


async def scan_to_update(tx: Transaction, scan_id: str) -> Scan | None:
    """Return a scan, held until the transaction ends."""
    return await tx.session.get(Scan, scan_id, with_for_update=True)


async def list_scans(session: AsyncSession, *, after: str | None, limit: int, scope: Scope) -> Sequence[Scan]:
    """Return scans of a scope, newest first."""
    query = sa.select(Scan).where(within(Scan.groups, scope))
    query = query.order_by(col(Scan.id).desc()).limit(limit + 1)
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
    await write_rows(tx, insert(tx, Result).on_conflict_do_nothing(), rows)


async def answering_without_a_name(
    session: AsyncSession, scan_id: str, *, after: str, limit: int
) -> dict[str, list[int]]:
    """Return the next addresses, in their order as text, that spoke TLS when asked for no name, and at which ports."""
    spoke = (
        col(Result.scan_id) == scan_id,
        col(Result.outcome) == Outcome.TLS.value,
        col(Result.server_name).is_(None),
        col(Result.starttls).is_(None),
    )
    some = (
        sa.select(col(Result.address))
        .where(*spoke, col(Result.address) > after)
        .distinct()
        .order_by(col(Result.address))
        .limit(limit)
        .subquery()
    )
    query = sa.select(col(Result.address), col(Result.port)).where(
        *spoke, col(Result.address).in_(sa.select(some.c.address))
    )
    found: dict[str, list[int]] = {}
    for address, port in (await session.execute(query.order_by(col(Result.address)))).all():
        found.setdefault(address, []).append(port or 0)
    return found


async def names_asked(session: AsyncSession, scan_id: str, addresses: Sequence[str]) -> set[tuple[str, str]]:
    """Return the pairs of address and name that a scan has asked for already."""
    query = sa.select(col(Result.address), col(Result.server_name)).where(
        col(Result.scan_id) == scan_id,
        col(Result.address).in_(addresses),
        col(Result.server_name).is_not(None),
    )
    return {(address, name or "") for address, name in (await session.execute(query.distinct())).all()}


async def last_result(
    session: AsyncSession, address: str, *, port: int, server_name: str | None, scope: Scope
) -> tuple[Result, Scan] | None:
    """Return what came of the last scan of a scope that asked there, by this name or by none, and the scan."""
    by_name = sa.or_(col(Result.server_name) == server_name, col(Result.server_name).is_(None))
    query = (
        sa.select(Result, Scan)
        .join(Scan, col(Scan.id) == col(Result.scan_id))
        .where(col(Result.address) == address, col(Result.port) == port, within(Scan.groups, scope))
        .where(by_name if server_name else sa.true())
        .order_by(col(Result.scan_id).desc(), col(Result.server_name).is_(None), col(Result.number))
        .limit(1)
    )
    row = (await session.execute(query)).first()
    return (row[0], row[1]) if row is not None else None


async def open_scans(session: AsyncSession, *, scope: Scope) -> Sequence[Scan]:
    """Return the scans of a scope that are not done, newest first."""
    query = sa.select(Scan).where(
        col(Scan.state).in_(("queued", "running", "paused")), within(Scan.groups, scope)
    )
    return (await session.scalars(query.order_by(col(Scan.id).desc()))).all()
