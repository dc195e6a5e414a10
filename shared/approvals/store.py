"""Where approvals are kept: what waits for one, who has decided what, and what a caller may decide."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, SQLModel, col

from shared.approvals import ApprovalState
from shared.store import Instant, Json, Transaction
from shared.store.scopes import Scope, ToldGroups, within

_IS_COUNTED = sa.text("is_counted")


def approval_indexes() -> tuple[sa.Index, ...]:
    """Return the indexes of a table `approvals`."""
    return (
        sa.Index("ix_approvals_subject", "kind", "subject_id"),
        sa.Index("ix_approvals_look_at", "look_at"),
    )


def decision_indexes() -> tuple[sa.Index, ...]:
    """Return the indexes of a table `decisions`."""
    return (
        sa.Index(
            "ux_decisions_of_principal",
            "approval_id",
            "principal",
            unique=True,
            sqlite_where=_IS_COUNTED,
            postgresql_where=_IS_COUNTED,
        ),
    )


class ApprovalColumns(SQLModel):
    """Something that is done only when enough people have agreed to exactly this."""

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


class DecisionColumns(SQLModel):
    """What somebody has said, also where it did not count: the audit record."""

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


class ApprovalStore:
    """The queries on a service's own two tables; who sees a lineage sees what is to be decided on it."""

    def __init__(
        self, approval: type[ApprovalColumns], decision: type[DecisionColumns], lineages: ToldGroups
    ) -> None:
        self.approval = approval
        self.decision = decision
        self.lineages = lineages

    async def latest(self, session: AsyncSession, kind: str, subject_id: str) -> ApprovalColumns | None:
        """Return what was asked last for something."""
        its = (col(self.approval.kind) == kind, col(self.approval.subject_id) == subject_id)
        query = sa.select(self.approval).where(*its).order_by(col(self.approval.id).desc()).limit(1)
        found: ApprovalColumns | None = await session.scalar(query)
        return found

    async def open_of(self, session: AsyncSession, lineage_id: str) -> Sequence[ApprovalColumns]:
        """Return what waits for a decision on a lineage."""
        its = (
            col(self.approval.lineage_id) == lineage_id,
            col(self.approval.state) == ApprovalState.OPEN,
        )
        query = sa.select(self.approval).where(*its).order_by(col(self.approval.id))
        return (await session.scalars(query)).all()

    async def decisions_of(self, session: AsyncSession, approval_id: str) -> Sequence[DecisionColumns]:
        """Return what was said, oldest first."""
        query = sa.select(self.decision).where(col(self.decision.approval_id) == approval_id)
        query = query.order_by(col(self.decision.at), col(self.decision.id))
        return (await session.scalars(query)).all()

    async def held(self, tx: Transaction, approval_id: str) -> ApprovalColumns | None:
        """Return an approval for deciding on it."""
        return await tx.session.get(self.approval, approval_id, with_for_update=True, populate_existing=True)

    async def due(self, tx: Transaction, *, now: datetime, limit: int) -> Sequence[ApprovalColumns]:
        """Return approvals that have expired, or somebody is to be reminded of."""
        query = sa.select(self.approval).where(*self._is_due(now)).order_by(col(self.approval.look_at))
        query = query.limit(limit).with_for_update(skip_locked=True)
        return (await tx.session.scalars(query)).all()

    async def is_any_due(self, session: AsyncSession, now: datetime) -> bool:
        """Return whether there is one to look at, without locking anything."""
        query = sa.select(col(self.approval.id)).where(*self._is_due(now)).limit(1)
        return await session.scalar(query) is not None

    def _is_due(self, now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
        return (col(self.approval.state) == ApprovalState.OPEN, col(self.approval.look_at) <= now)

    async def page(
        self,
        session: AsyncSession,
        *,
        after: str | None,
        limit: int,
        scope: Scope,
        state: ApprovalState | None = None,
        undecided_by: str | None = None,
        roles: Collection[str] = (),
    ) -> Sequence[ApprovalColumns]:
        """Return up to `limit + 1` approvals of a scope, newest first.

        With `undecided_by`, a principal's id, and their `roles`: only those that wait for them.
        """
        query = sa.select(self.approval).where(self._in_scope(scope))
        if state is not None:
            query = query.where(col(self.approval.state) == state)
        if undecided_by is not None:
            query = query.where(*self._waits_for(undecided_by, scope=scope, roles=roles))
        if after is not None:
            query = query.where(col(self.approval.id) < after)
        query = query.order_by(col(self.approval.id).desc()).limit(limit + 1)
        return (await session.scalars(query)).all()

    def _in_scope(self, scope: Scope) -> sa.ColumnElement[bool]:
        """Whoever may decide sees what is to be decided, be the lineage in their groups or not."""
        if scope is None:
            return sa.true()
        return sa.or_(
            self.lineages.within(self.approval.lineage_id, scope),
            within(self.approval.approver_groups, scope),
        )

    def _waits_for(
        self, principal: str, *, scope: Scope, roles: Collection[str]
    ) -> tuple[sa.ColumnElement[bool], ...]:
        own = sa.select(col(self.decision.id)).where(
            col(self.decision.approval_id) == col(self.approval.id),
            col(self.decision.principal) == principal,
            col(self.decision.is_counted),
        )
        return (
            col(self.approval.state) == ApprovalState.OPEN,
            sa.not_(within(self.approval.requesters, [principal])),
            sa.not_(own.exists()),
            _is_none_or_shared(self.approval.approver_groups, scope),
            _is_none_or_shared(self.approval.approver_roles, roles),
        )


def _is_none_or_shared(column: Any, ours: Scope) -> sa.ColumnElement[bool]:
    if ours is None:
        return sa.true()
    is_none = sa.cast(column, sa.Text) == "[]"
    return sa.or_(is_none, within(column, ours)) if ours else is_none
