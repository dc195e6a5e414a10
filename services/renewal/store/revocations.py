"""Revocations: which are due and whose, and what was done for them."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from services.renewal.domain.revocations import WORKED_ON
from services.renewal.store.tables import Order, Table
from shared.store import Instant, Json, Transaction


class Revocation(Table, table=True):
    """A certificate that is to be taken back; the lease says which process works on it now."""

    __tablename__ = "revocations"
    __table_args__ = (sa.Index("ix_revocations_due", "next_attempt_at"),)

    id: str = Field(primary_key=True, max_length=36)
    fingerprint: str = Field(max_length=64, unique=True)
    lineage_id: str = Field(max_length=100, index=True)
    order_id: str = Field(max_length=36, foreign_key="orders.id")
    """The one that it was obtained by."""
    authority_id: str = Field(max_length=36, foreign_key="authorities.id")
    authority: str = Field(max_length=200)
    """The authority's name."""
    names: list[str] = Field(sa_type=Json)
    reason: str = Field(max_length=30)
    """As RFC 5280 §5.3.1 names it."""
    explanation: str = Field(sa_type=sa.Text)
    starts: str = Field(max_length=30)
    """Now, or after it was seen to be replaced."""
    state: str = Field(max_length=30, index=True)
    attempts: int = 0
    """How many have failed since the last success."""
    last_error: str | None = Field(default=None, sa_type=sa.Text)
    next_step: str | None = Field(default=None, sa_type=sa.Text)
    next_attempt_at: datetime | None = Field(default=None, sa_type=Instant)
    """When a worker takes it up; empty where no worker shall."""
    lease: str | None = Field(default=None, max_length=36, index=True)
    lease_until: datetime | None = Field(default=None, sa_type=Instant)
    revoked_at: datetime | None = Field(default=None, sa_type=Instant)
    """When the authority has taken it."""
    confirmed_at: datetime | None = Field(default=None, sa_type=Instant)
    """When its CRL or its OCSP responder was seen to say so."""
    confirmed_by: str | None = Field(default=None, max_length=20)
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)


class RevocationStep(Table, table=True):
    """One thing that was done for a revocation, or that failed."""

    __tablename__ = "revocation_steps"

    id: str = Field(primary_key=True, max_length=36)
    revocation_id: str = Field(max_length=36, foreign_key="revocations.id", index=True)
    at: datetime = Field(sa_type=Instant)
    step: str = Field(max_length=50)
    text: str = Field(sa_type=sa.Text)


async def revocation_of(session: AsyncSession, fingerprint: str) -> Revocation | None:
    """Return the revocation of a certificate, where one was asked for."""
    query = sa.select(Revocation).where(col(Revocation.fingerprint) == fingerprint)
    found: Revocation | None = await session.scalar(query)
    return found


async def revocation_steps_of(session: AsyncSession, revocation_id: str) -> Sequence[RevocationStep]:
    """Return what was done, oldest first."""
    query = sa.select(RevocationStep).where(col(RevocationStep.revocation_id) == revocation_id)
    return (await session.scalars(query.order_by(col(RevocationStep.at), col(RevocationStep.id)))).all()


async def is_seen_replaced(session: AsyncSession, *, lineage_id: str, fingerprint: str) -> bool:
    """Return whether another certificate was seen in every place of this one."""
    query = sa.select(col(Order.id)).where(
        col(Order.lineage_id) == lineage_id,
        col(Order.old_fingerprint) == fingerprint,
        col(Order.observed_at).is_not(None),
    )
    return await session.scalar(query.limit(1)) is not None


def _due(now: datetime) -> sa.Select[str]:
    is_free = sa.or_(col(Revocation.lease).is_(None), col(Revocation.lease_until) < now)
    return (
        sa.select(col(Revocation.id))
        .where(col(Revocation.next_attempt_at) <= now, col(Revocation.state).in_(WORKED_ON), is_free)
        .order_by(col(Revocation.next_attempt_at), col(Revocation.id))
        .limit(1)
    )


async def is_any_revocation_due(session: AsyncSession, now: datetime) -> bool:
    """Return whether there is something to claim, without locking anything."""
    return await session.scalar(_due(now)) is not None


async def claim_revocation(
    tx: Transaction, *, lease: str, until: datetime, now: datetime
) -> Revocation | None:
    """Take the lease on a due revocation and return it, or None."""
    found = await tx.session.scalar(_due(now).with_for_update(skip_locked=True))
    if found is None:
        return None
    row = await tx.session.get_one(Revocation, found)
    row.lease, row.lease_until = lease, until
    return row


async def held_revocation(tx: Transaction, revocation_id: str, *, lease: str) -> Revocation | None:
    """Return a revocation for changing; None where it is not ours any more."""
    query = sa.select(Revocation).where(col(Revocation.id) == revocation_id, col(Revocation.lease) == lease)
    found: Revocation | None = await tx.session.scalar(query.with_for_update())
    return found


async def end_all_revocation_leases(tx: Transaction) -> None:
    """Let go of every revocation: right only where no other process can be at work."""
    await tx.session.execute(sa.update(Revocation).values(lease=None, lease_until=None))
