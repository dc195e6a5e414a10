"""Certificate Transparency logs: what is wanted of each, how far it is read, and who reads it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from services.discovery.store.tables import Table
from shared.store import Instant, Json, Transaction
from shared.store.scopes import Scope, within


class CtLog(Table, table=True):
    """A log that is read on and on, and what of it is of interest."""

    __tablename__ = "ct_logs"

    id: str = Field(primary_key=True, max_length=36)
    url: str = Field(max_length=500, unique=True)
    """The monitoring prefix, without a slash at the end."""
    public_key: str | None = Field(default=None, max_length=2000)
    suffixes: list[str] = Field(sa_type=Json)
    groups: list[str] = Field(default_factory=list, sa_type=Json)
    state: str = Field(max_length=20, index=True)
    position: int | None = Field(default=None, sa_type=sa.BigInteger)
    """How many entries are read or left out; None: what the log holds at the first look is left out."""
    origin: str | None = Field(default=None, max_length=500)
    checkpoint_size: int = Field(default=0, sa_type=sa.BigInteger)
    checkpoint_root: str | None = Field(default=None, max_length=64)
    """Hexadecimal; size and root are of the last tree that was found to go on from the one before."""
    signed_at: datetime | None = Field(default=None, sa_type=Instant)
    entries_read: int = Field(default=0, sa_type=sa.BigInteger)
    unreadable: int = Field(default=0, sa_type=sa.BigInteger)
    """Certificates that hold a suffix and cannot be parsed."""
    last_read_at: datetime | None = Field(default=None, sa_type=Instant)
    last_error: str | None = Field(default=None, max_length=500)
    failures: int = 0
    evidence: str | None = Field(default=None, sa_type=sa.Text)
    """The last checkpoint that contradicted an earlier one, as the log served it."""
    next_read_at: datetime = Field(sa_type=Instant, index=True)
    lease: str | None = Field(default=None, max_length=36)
    lease_until: datetime | None = Field(default=None, sa_type=Instant)
    version: int = 1
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)
    updated_at: datetime = Field(sa_type=Instant)


async def is_log_due(session: AsyncSession, *, now: datetime) -> bool:
    """Return whether there is a log to be claimed."""
    return await session.scalar(_due(now).with_only_columns(col(CtLog.id))) is not None


async def claim_log(tx: Transaction, *, lease: str, until: datetime, now: datetime) -> CtLog | None:
    """Take the log that has waited longest and that nobody reads."""
    log: CtLog | None = (await tx.session.scalars(_due(now).with_for_update(skip_locked=True))).first()
    if log is not None:
        log.lease, log.lease_until = lease, until
    return log


def _due(now: datetime) -> Any:
    is_free = sa.or_(col(CtLog.lease_until).is_(None), col(CtLog.lease_until) < now)
    is_due = col(CtLog.next_read_at) <= now
    return sa.select(CtLog).where(is_due, is_free).order_by(col(CtLog.next_read_at), col(CtLog.id)).limit(1)


async def end_log_lease(tx: Transaction, lease: str | None = None) -> None:
    """Let go of the log held by this lease, or of all logs."""
    statement = sa.update(CtLog).values(lease=None, lease_until=None)
    await tx.session.execute(statement.where(col(CtLog.lease) == lease) if lease else statement)


async def log_to_update(tx: Transaction, log_id: str) -> CtLog | None:
    """Return a log, held until the transaction ends."""
    return await tx.session.get(CtLog, log_id, with_for_update=True)


async def suffixes_within(session: AsyncSession, scope: Scope) -> list[str]:
    """Return the names that the logs of a scope are read for."""
    found = (await session.scalars(sa.select(col(CtLog.suffixes)).where(within(CtLog.groups, scope)))).all()
    return sorted({suffix for suffixes in found for suffix in suffixes})


async def list_logs(session: AsyncSession, *, after: str | None, limit: int, scope: Scope) -> Sequence[CtLog]:
    """Return up to `limit + 1` logs of a scope, newest first."""
    query = sa.select(CtLog).where(within(CtLog.groups, scope))
    query = query.order_by(col(CtLog.id).desc()).limit(limit + 1)
    if after:
        query = query.where(col(CtLog.id) < after)
    return (await session.scalars(query)).all()
