"""Approvals, kept in this service's own tables, and the rules of targets that ask for them."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from services.provisioner.domain import Hold, Phase, State
from services.provisioner.store.scoped import holds_for, in_scope
from services.provisioner.store.tables import LINEAGES, Deployment, Table, Target
from shared.approvals import PASSED, ApprovalState
from shared.approvals.store import (
    ApprovalColumns,
    ApprovalStore,
    DecisionColumns,
    approval_indexes,
    decision_indexes,
)
from shared.store import Instant, Json, Transaction
from shared.store.scopes import Scope


class Kind(StrEnum):
    """What waits for an approval here."""

    ROLLOUT = "rollout"
    DEPLOYMENTS = "deployments"
    """Of one certificate, to the targets that a rule is for."""


class ApprovalRule(Table, table=True):
    """What is put in place on these targets is approved before, certificate by certificate."""

    __tablename__ = "approval_rules"

    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(max_length=200)
    target_id: str | None = Field(default=None, max_length=36, index=True)
    group: str | None = Field(default=None, max_length=100)
    """With neither of the two it is for all targets."""
    approvals_needed: int
    approver_groups: list[str] = Field(sa_type=Json)
    approver_roles: list[str] = Field(sa_type=Json)
    version: int = 1
    created_at: datetime = Field(sa_type=Instant)
    updated_at: datetime = Field(sa_type=Instant)
    updated_by: str = Field(max_length=100)

    def is_for(self, target: Target) -> bool:
        """Return whether it is for a target."""
        if self.target_id is not None:
            return self.target_id == target.id
        return self.group is None or self.group in target.groups


class Approval(Table, ApprovalColumns, table=True):
    """Something that is done only when enough people have agreed to exactly this."""

    __tablename__ = "approvals"
    __table_args__ = approval_indexes()


class Decision(Table, DecisionColumns, table=True):
    """What somebody has said, also where it did not count: the audit record."""

    __tablename__ = "decisions"
    __table_args__ = decision_indexes()


APPROVALS = ApprovalStore(Approval, Decision, LINEAGES)


async def rules_for(session: AsyncSession, target: Target) -> Sequence[ApprovalRule]:
    """Return the rules that hold for a target."""
    holds = holds_for(ApprovalRule, target_id=target.id, groups=target.groups)
    return (await session.scalars(sa.select(ApprovalRule).where(holds).order_by(col(ApprovalRule.id)))).all()


async def approval_rules(
    session: AsyncSession, *, after: str | None, limit: int, scope: Scope
) -> Sequence[ApprovalRule]:
    """Return up to `limit + 1` of a scope, newest first; those for all targets are everybody's."""
    query = sa.select(ApprovalRule).where(in_scope(ApprovalRule, scope))
    if after is not None:
        query = query.where(col(ApprovalRule.id) < after)
    return (await session.scalars(query.order_by(col(ApprovalRule.id).desc()).limit(limit + 1))).all()


async def delete_rules_of(tx: Transaction, target_id: str) -> None:
    """Forget the rules of a target."""
    its = sa.select(ApprovalRule).where(col(ApprovalRule.target_id) == target_id)
    for row in (await tx.session.scalars(its)).all():
        await tx.session.delete(row)


async def passed_approvals(session: AsyncSession, subject_id: str) -> Sequence[Approval]:
    """Return what was agreed to of the deployments that a rule is for."""
    its = (col(Approval.kind) == Kind.DEPLOYMENTS, col(Approval.subject_id) == subject_id)
    return (await session.scalars(sa.select(Approval).where(*its, col(Approval.state).in_(PASSED)))).all()


async def open_approvals_of_rules(
    session: AsyncSession, *, lineage_id: str | None = None
) -> Sequence[Approval]:
    """Return what rules wait for, of one lineage or of all."""
    query = sa.select(Approval).where(
        col(Approval.kind) == Kind.DEPLOYMENTS, col(Approval.state) == ApprovalState.OPEN
    )
    if lineage_id is not None:
        query = query.where(col(Approval.lineage_id) == lineage_id)
    return (await session.scalars(query.order_by(col(Approval.id)))).all()


async def not_begun_of_order(session: AsyncSession, order_id: str) -> Sequence[tuple[Deployment, Target]]:
    """Return the deployments of an order that have changed nothing, with their targets; the first to go first."""
    query = sa.select(Deployment, Target).join(Target, col(Target.id) == col(Deployment.target_id))
    query = query.where(
        col(Deployment.order_id) == order_id,
        col(Deployment.phase) == Phase.START,
        col(Deployment.state) != State.RUNNING,
    )
    rows = await session.execute(query.order_by(col(Deployment.wave), col(Deployment.id)))
    return [(deployment, target) for deployment, target in rows]


async def wake_those_unapproved(tx: Transaction, *, now: datetime) -> None:
    """Have what waits for an approval looked at again: who asks for it has changed."""
    waiting = sa.update(Deployment).where(
        col(Deployment.hold) == Hold.APPROVAL, col(Deployment.phase) == Phase.START
    )
    await tx.session.execute(waiting.values(next_attempt_at=now).execution_options(synchronize_session=False))
