"""Rollouts of certificates, and how they are to go for a lineage."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from services.provisioner.domain import Hold, Phase, State
from services.provisioner.domain.rollouts import ALIVE
from services.provisioner.store.tables import LINEAGES, Deployment, Table, Target
from shared.store import Instant, Json, Transaction
from shared.store.scopes import Scope

_FAILED = (State.RESTORED, State.FAILED, State.NEEDS_ATTENTION)


class RolloutPolicy(Table, table=True):
    """How the certificates of a lineage go out."""

    __tablename__ = "rollout_policies"

    lineage_id: str = Field(primary_key=True, max_length=100)
    canaries: int
    share: int
    """In %, of all."""
    soak: int
    """Seconds between two waves."""
    stop_after: int
    watch: int
    """For how many seconds each is watched once it is in place."""
    approvals_needed: int
    approver_groups: list[str] = Field(sa_type=Json)
    approver_roles: list[str] = Field(sa_type=Json)
    version: int = 1
    updated_at: datetime = Field(sa_type=Instant)
    updated_by: str = Field(max_length=100)


class Rollout(Table, table=True):
    """A certificate on its way into the slots of its lineage, wave by wave, on the terms that held when it began."""

    __tablename__ = "rollouts"
    __table_args__ = (sa.Index("ix_rollouts_look_at", "look_at"),)

    id: str = Field(primary_key=True, max_length=36)
    order_id: str = Field(max_length=100, foreign_key="renewals.order_id", index=True)
    lineage_id: str = Field(max_length=100, index=True)
    fingerprint: str = Field(max_length=64)
    renewed_at: datetime = Field(sa_type=Instant)
    canaries: int
    share: int
    soak: int
    stop_after: int
    approvals_needed: int
    approver_groups: list[str] = Field(sa_type=Json)
    approver_roles: list[str] = Field(sa_type=Json)
    policy_by: str = Field(max_length=100)
    """Who has said that it goes like this."""
    state: str = Field(max_length=20, index=True)
    wave: int = 0
    """The latest that has begun."""
    soaked_at: datetime | None = Field(default=None, sa_type=Instant)
    """When the next wave begins, if all goes well until then."""
    look_at: datetime | None = Field(default=None, sa_type=Instant)
    """When it is looked at without anything having happened; empty where it waits for a person, or is over."""
    reason: str | None = Field(default=None, sa_type=sa.Text)
    created_at: datetime = Field(sa_type=Instant)
    updated_at: datetime = Field(sa_type=Instant)
    finished_at: datetime | None = Field(default=None, sa_type=Instant)


async def rollout_policies(
    session: AsyncSession, *, after: str | None, limit: int, scope: Scope
) -> Sequence[RolloutPolicy]:
    """Return up to `limit + 1` policies of a scope, by their lineages."""
    query = sa.select(RolloutPolicy).where(LINEAGES.within(col(RolloutPolicy.lineage_id), scope))
    query = query.order_by(col(RolloutPolicy.lineage_id)).limit(limit + 1)
    if after is not None:
        query = query.where(col(RolloutPolicy.lineage_id) > after)
    return (await session.scalars(query)).all()


async def rollouts(
    session: AsyncSession, *, after: str | None, limit: int, scope: Scope, **having: str
) -> Sequence[Rollout]:
    """Return up to `limit + 1` rollouts of a scope with these values, newest first."""
    query = sa.select(Rollout).filter_by(**having).where(LINEAGES.within(col(Rollout.lineage_id), scope))
    query = query.order_by(col(Rollout.id).desc()).limit(limit + 1)
    if after is not None:
        query = query.where(col(Rollout.id) < after)
    return (await session.scalars(query)).all()


async def live_rollouts(tx: Transaction, lineage_id: str) -> Sequence[Rollout]:
    """Return the rollouts of a lineage that are not over, each held until the transaction ends."""
    query = sa.select(Rollout).where(col(Rollout.lineage_id) == lineage_id, col(Rollout.state).in_(ALIVE))
    return (await tx.session.scalars(query.order_by(col(Rollout.id)).with_for_update())).all()


async def due_rollouts(session: AsyncSession, *, now: datetime, limit: int) -> Sequence[str]:
    """Return the ids of rollouts to look at."""
    query = sa.select(col(Rollout.id)).where(col(Rollout.look_at) <= now)
    return (await session.scalars(query.order_by(col(Rollout.look_at)).limit(limit))).all()


async def held_rollout(tx: Transaction, rollout_id: str) -> Rollout | None:
    """Return a rollout, held until the transaction ends."""
    return await tx.session.get(Rollout, rollout_id, with_for_update=True, populate_existing=True)


async def wave_counts(session: AsyncSession, rollout_id: str) -> Mapping[int, Mapping[State, int]]:
    """Return how many deployments of each wave are in which state."""
    query = sa.select(col(Deployment.wave), col(Deployment.state), sa.func.count())
    query = query.where(col(Deployment.rollout_id) == rollout_id)
    counts: dict[int, dict[State, int]] = defaultdict(dict)
    for wave, state, number in await session.execute(
        query.group_by(col(Deployment.wave), col(Deployment.state))
    ):
        counts[wave][State(state)] = number
    return counts


async def deployments_of_rollout(
    session: AsyncSession, rollout_id: str, *, states: Collection[State] = ()
) -> Sequence[Deployment]:
    """Return the deployments of a rollout, the first to go first."""
    query = sa.select(Deployment).where(col(Deployment.rollout_id) == rollout_id)
    if states:
        query = query.where(col(Deployment.state).in_(states))
    return (await session.scalars(query.order_by(col(Deployment.wave), col(Deployment.id)))).all()


async def let_waves_go(tx: Transaction, rollout: Rollout, *, now: datetime) -> None:
    """Have the deployments of the waves that have begun taken up."""
    waiting = (
        col(Deployment.rollout_id) == rollout.id,
        col(Deployment.wave) <= rollout.wave,
        col(Deployment.phase) == Phase.START,
        col(Deployment.hold).in_((Hold.ROLLOUT, Hold.APPROVAL)),
        col(Deployment.next_attempt_at).is_(None),
    )
    update = sa.update(Deployment).where(*waiting).values(next_attempt_at=now)
    await tx.session.execute(update.execution_options(synchronize_session=False))


async def end_what_has_not_begun(
    tx: Transaction, rollout_id: str, *, state: State, now: datetime
) -> Sequence[str]:
    """Let the deployments of a rollout be over that have changed nothing, or have put it back; return their ids."""
    waiting = (
        col(Deployment.rollout_id) == rollout_id,
        col(Deployment.phase) == Phase.START,
        col(Deployment.state) != State.RUNNING,
    )
    values = {
        "state": state,
        "phase": Phase.OVER,
        "next_attempt_at": None,
        "sealed_key": None,
        "sealed_undo": None,
        "hold": None,
        "updated_at": now,
    }
    update = sa.update(Deployment).where(*waiting).values(values).returning(col(Deployment.id))
    return (await tx.session.scalars(update.execution_options(synchronize_session=False))).all()


async def bindings_of_order(session: AsyncSession, order_id: str) -> frozenset[str]:
    """Return the bindings that an order has a deployment for."""
    query = sa.select(col(Deployment.binding_id)).where(col(Deployment.order_id) == order_id)
    return frozenset((await session.scalars(query)).all())


async def failed_of_rollout(session: AsyncSession, rollout_id: str) -> Sequence[tuple[str, str]]:
    """Return the targets that a rollout has failed on, and why."""
    query = (
        sa.select(col(Target.name), col(Deployment.reason))
        .join(Target, col(Target.id) == col(Deployment.target_id))
        .where(col(Deployment.rollout_id) == rollout_id, col(Deployment.state).in_(_FAILED))
        .order_by(col(Deployment.id))
    )
    return [(name, reason or "") for name, reason in (await session.execute(query)).all()]


async def held_for_approval(session: AsyncSession, rollout_id: str) -> Sequence[Deployment]:
    """Return the deployments of a rollout that wait for an approval."""
    its = (col(Deployment.rollout_id) == rollout_id, col(Deployment.hold) == Hold.APPROVAL)
    return (await session.scalars(sa.select(Deployment).where(*its))).all()


async def hold_rollout(tx: Transaction, rollout_id: str, *, hold: Hold, reason: str) -> None:
    """Hold what a rollout has not begun, and what was put back."""
    waiting = (
        col(Deployment.rollout_id) == rollout_id,
        col(Deployment.phase) == Phase.START,
        col(Deployment.state) != State.RUNNING,
    )
    update = sa.update(Deployment).where(*waiting)
    update = update.values(hold=hold, hold_reason=reason, next_attempt_at=None)
    await tx.session.execute(update.execution_options(synchronize_session=False))


async def try_failed_again(tx: Transaction, rollout_id: str, *, now: datetime) -> None:
    """Have what has failed in a rollout tried again, with all attempts."""
    its = (col(Deployment.rollout_id) == rollout_id, col(Deployment.state).in_(_FAILED))
    query = sa.select(Deployment).where(*its).order_by(col(Deployment.id)).with_for_update()
    for row in (await tx.session.scalars(query)).all():
        if row.phase == Phase.OVER:
            row.phase = Phase.START
        row.state = State.PENDING if row.phase == Phase.START else State.RUNNING
        row.attempt, row.next_attempt_at, row.hold, row.hold_reason = 0, now, None, None
    await tx.session.flush()
