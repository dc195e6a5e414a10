"""The pieces that scans are shared out in: claimed, held, and gone when they are done."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.discovery.store.tables import Scan, Shard
from shared.store import Transaction, insert, write_rows


async def add_shards(tx: Transaction, rows: Sequence[dict[str, Any]]) -> None:
    """Add pieces of a scan."""
    await write_rows(tx, insert(tx, Shard), rows)


async def is_shard_waiting(session: AsyncSession, *, now: datetime) -> bool:
    """Return whether there is a piece to be claimed."""
    return await session.scalar(_waiting(now).with_only_columns(col(Shard.scan_id))) is not None


async def claim_shard(tx: Transaction, *, lease: str, until: datetime, now: datetime) -> Shard | None:
    """Take a piece that nobody works on, of the scan that the fewest work on; its scan runs from now on."""
    query = _waiting(now).with_for_update(of=Shard, skip_locked=True)
    shard: Shard | None = (await tx.session.scalars(query)).first()
    if shard is None:
        return None
    shard.lease, shard.lease_until = lease, until
    begins = sa.update(Scan).where(col(Scan.id) == shard.scan_id, col(Scan.state) == "queued")
    await tx.session.execute(
        begins.values(
            state="running", started_at=sa.func.coalesce(col(Scan.started_at), now), active_since=now
        ).execution_options(synchronize_session=False)
    )
    return shard


def _waiting(now: datetime) -> Any:
    busy = (
        sa.select(col(Shard.scan_id), sa.func.count().label("shards"))
        .where(col(Shard.lease_until) >= now)
        .group_by(col(Shard.scan_id))
        .subquery()
    )
    workers = sa.func.coalesce(busy.c.shards, 0)
    is_free = sa.or_(col(Shard.lease_until).is_(None), col(Shard.lease_until) < now)
    is_open = col(Scan.state).in_(("queued", "running"))
    return (
        sa.select(Shard)
        .join(Scan, col(Scan.id) == col(Shard.scan_id))
        .outerjoin(busy, busy.c.scan_id == col(Shard.scan_id))
        .where(is_open, is_free, workers < col(Scan.most_workers))
        .order_by(workers, col(Shard.scan_id), col(Shard.number))
        .limit(1)
    )


async def keep_shard_lease(
    tx: Transaction, scan_id: str, number: int, *, lease: str, until: datetime, now: datetime
) -> int | None:
    """Hold a piece for longer; return how many work on the scan, None where it is not ours or does not run."""
    runs = sa.exists().where(col(Scan.id) == scan_id, col(Scan.state) == "running")
    mine = (col(Shard.scan_id) == scan_id, col(Shard.number) == number, col(Shard.lease) == lease, runs)
    statement = sa.update(Shard).where(*mine).values(lease_until=until).returning(col(Shard.number))
    if (await tx.session.execute(statement)).first() is None:
        return None
    query = sa.select(sa.func.count()).where(col(Shard.scan_id) == scan_id, col(Shard.lease_until) >= now)
    return await tx.session.scalar(query) or 1


async def shard_to_update(tx: Transaction, scan_id: str, number: int) -> Shard | None:
    """Return a piece, held until the transaction ends."""
    return await tx.session.get(Shard, (scan_id, number), with_for_update=True)


async def end_shard_lease(tx: Transaction, lease: str | None = None) -> None:
    """Let go of the piece held by this lease, or of all: the next who comes goes on with it."""
    statement = sa.update(Shard).values(lease=None, lease_until=None)
    await tx.session.execute(statement.where(col(Shard.lease) == lease) if lease else statement)


async def drop_shards(tx: Transaction, scan_id: str) -> None:
    """Drop what is left of a scan that goes on no more."""
    await tx.session.execute(sa.delete(Shard).where(col(Shard.scan_id) == scan_id))
