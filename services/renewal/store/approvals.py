"""Approvals: what waits for one, who has decided what, and what a caller may decide."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from services.renewal.domain.approvals import ApprovalState, Kind
from services.renewal.store.tables import LINEAGES, Table
from shared.store import Instant, Json, Transaction
from shared.store.scopes import Scope, within

_IS_COUNTED = sa.text("is_counted")


class Approval(Table, table=True):
    """Something that is done only when enough people have agreed to exactly this."""

    __tablename__ = "approvals"
    __table_args__ = (
        sa.Index("ix_approvals_subject", "kind", "subject_id"),
        sa.Index("ix_approvals_look_at", "look_at"),
    )

    id: str = Field(primary_key=True, max_length=36)
    kind: str = Field(max_length=20)
    subject_id: str = Field(max_length=36)
    lineage_id: str = Field(max_length=100, index=True)
    document: dict[str, Any] = Field(sa_type=Json)
    """Exactly what would be done."""
    digest: str = Field(max_length=64)
    needed: int
    approver_groups: list[str] = Field(sa_type=Json)
    approver_roles: list[str] = Field(sa_type=Json)
    requesters: list[str] = Field(sa_type=Json)
    """Principals who have a part in what is asked for; none of them approves it."""
    state: str = Field(max_length=20, index=True)
    reason: str | None = Field(default=None, sa_type=sa.Text)
    """Why it came to its end."""
    reminders: int = 0
    created_at: datetime = Field(sa_type=Instant)
    expires_at: datetime = Field(sa_type=Instant)
    look_at: datetime | None = Field(default=None, sa_type=Instant)
    """When somebody is reminded, or it expires; empty once it is decided."""
    decided_at: datetime | None = Field(default=None, sa_type=Instant)


class Decision(Table, table=True):
    """What somebody has said, also where it did not count: the audit record."""

    __tablename__ = "decisions"
    __table_args__ = (
        sa.Index(
            "ux_decisions_of_principal",
            "approval_id",
            "principal",
            unique=True,
            sqlite_where=_IS_COUNTED,
            postgresql_where=_IS_COUNTED,
        ),
    )

    id: str = Field(primary_key=True, max_length=36)
    approval_id: str = Field(max_length=36, foreign_key="approvals.id", index=True)
    principal: str = Field(max_length=100)
    name: str = Field(max_length=300)
    verdict: str = Field(max_length=20)
    reason: str = Field(sa_type=sa.Text)
    digest: str = Field(max_length=64)
    """The one that was decided on."""
    means: str = Field(max_length=300)
    """`api`, or by whom it was passed on."""
    is_counted: bool
    objection: str | None = Field(default=None, sa_type=sa.Text)
    """Why it did not count."""
    at: datetime = Field(sa_type=Instant)
    trace_id: str = Field(max_length=32)


async def latest_approval(session: AsyncSession, kind: Kind, subject_id: str) -> Approval | None:
    """Return what was asked last for something."""
    query = sa.select(Approval).where(col(Approval.kind) == kind, col(Approval.subject_id) == subject_id)
    found: Approval | None = await session.scalar(query.order_by(col(Approval.id).desc()).limit(1))
    return found


async def open_approvals(session: AsyncSession, lineage_id: str) -> Sequence[Approval]:
    """Return what waits for a decision on a lineage."""
    query = sa.select(Approval).where(
        col(Approval.lineage_id) == lineage_id, col(Approval.state) == ApprovalState.OPEN
    )
    return (await session.scalars(query.order_by(col(Approval.id)))).all()


async def decisions_of(session: AsyncSession, approval_id: str) -> Sequence[Decision]:
    """Return what was said, oldest first."""
    query = sa.select(Decision).where(col(Decision.approval_id) == approval_id)
    return (await session.scalars(query.order_by(col(Decision.at), col(Decision.id)))).all()


async def held_approval(tx: Transaction, approval_id: str) -> Approval | None:
    """Return an approval for deciding on it."""
    return await tx.session.get(Approval, approval_id, with_for_update=True, populate_existing=True)


async def due_approvals(tx: Transaction, *, now: datetime, limit: int) -> Sequence[Approval]:
    """Return approvals that have expired, or somebody is to be reminded of."""
    query = sa.select(Approval).where(col(Approval.state) == ApprovalState.OPEN, col(Approval.look_at) <= now)
    query = query.order_by(col(Approval.look_at)).limit(limit).with_for_update(skip_locked=True)
    return (await tx.session.scalars(query)).all()


async def is_any_approval_due(session: AsyncSession, now: datetime) -> bool:
    """Return whether there is one to look at, without locking anything."""
    query = sa.select(col(Approval.id)).where(
        col(Approval.state) == ApprovalState.OPEN, col(Approval.look_at) <= now
    )
    return await session.scalar(query.limit(1)) is not None


async def approvals_page(
    session: AsyncSession,
    *,
    after: str | None,
    limit: int,
    scope: Scope,
    state: ApprovalState | None = None,
    undecided_by: str | None = None,
    roles: Collection[str] = (),
) -> Sequence[Approval]:
    """Return up to `limit + 1` approvals of a scope, newest first.

    With `undecided_by`, a principal's id, and their `roles`: only those that wait for them.
    """
    query = sa.select(Approval).where(_in_scope(scope))
    if state is not None:
        query = query.where(col(Approval.state) == state)
    if undecided_by is not None:
        query = query.where(*_waits_for(undecided_by, scope=scope, roles=roles))
    if after is not None:
        query = query.where(col(Approval.id) < after)
    return (await session.scalars(query.order_by(col(Approval.id).desc()).limit(limit + 1))).all()


def _in_scope(scope: Scope) -> sa.ColumnElement[bool]:
    """Whoever may decide sees what is to be decided, be the lineage in their groups or not."""
    if scope is None:
        return sa.true()
    return sa.or_(LINEAGES.within(Approval.lineage_id, scope), within(Approval.approver_groups, scope))


def _waits_for(principal: str, *, scope: Scope, roles: Collection[str]) -> tuple[sa.ColumnElement[bool], ...]:
    own = sa.select(col(Decision.id)).where(
        col(Decision.approval_id) == col(Approval.id),
        col(Decision.principal) == principal,
        col(Decision.is_counted),
    )
    return (
        col(Approval.state) == ApprovalState.OPEN,
        sa.not_(within(Approval.requesters, [principal])),
        sa.not_(own.exists()),
        _is_none_or_shared(Approval.approver_groups, scope),
        _is_none_or_shared(Approval.approver_roles, roles),
    )


def _is_none_or_shared(column: Any, ours: Scope) -> sa.ColumnElement[bool]:
    if ours is None:
        return sa.true()
    is_none = sa.cast(column, sa.Text) == "[]"
    return sa.or_(is_none, within(column, ours)) if ours else is_none
