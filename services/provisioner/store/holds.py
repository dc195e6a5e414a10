"""What decides whether a deployment may begin, and who waits for it."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.provisioner.domain import Hold, Phase, State
from services.provisioner.store.approvals import ApprovalRule
from services.provisioner.store.tables import Binding, Deployment, Target, table_of
from services.provisioner.store.windows import ChangeWindow, Freeze
from shared.store import Instant, Transaction

_DEPLOYMENTS, _TARGETS = table_of(Deployment), table_of(Target)
_RULES = tuple(table_of(kind).c.id for kind in (ApprovalRule, ChangeWindow, Freeze))


def not_alone() -> sa.ColumnElement[bool]:
    """Say that another deployment into the slot is newer or under way, or that some target has rules, windows or freezes.

    Where it is not so, which is nearly always, nobody has to ask what exactly is in the way.
    """
    other = _DEPLOYMENTS.alias("other")
    others = sa.exists(sa.select(other.c.id)).where(
        other.c.binding_id == sa.bindparam("of_binding", type_=sa.String()),
        other.c.id != sa.bindparam("of_deployment", type_=sa.String()),
        sa.or_(
            sa.and_(other.c.phase != Phase.START, other.c.phase != Phase.OVER),
            other.c.renewed_at > sa.bindparam("of_time", type_=Instant()),
        ),
    )
    return sa.or_(others, *(sa.exists(sa.select(each)) for each in _RULES))


def waits_after(only_if: sa.ColumnElement[bool]) -> sa.Update:
    """Return what has looked at again what waits for a deployment: of its order, or of its slot."""
    of_order, of_binding = (sa.bindparam(name, type_=sa.String()) for name in ("of_order", "of_binding"))
    waits = sa.or_(
        sa.and_(_DEPLOYMENTS.c.order_id == of_order, _DEPLOYMENTS.c.hold == Hold.DEPENDENCY),
        sa.and_(_DEPLOYMENTS.c.binding_id == of_binding, _DEPLOYMENTS.c.hold == Hold.SLOT),
    )
    woken = sa.update(_DEPLOYMENTS).where(waits, _DEPLOYMENTS.c.phase == Phase.START, only_if)
    return woken.values(next_attempt_at=sa.bindparam("at", type_=Instant()))


async def half_done(session: AsyncSession, deployment: Deployment) -> str | None:
    """Return another deployment of the same slot that has begun, and is not over."""
    query = sa.select(col(Deployment.id)).where(
        col(Deployment.binding_id) == deployment.binding_id,
        col(Deployment.id) != deployment.id,
        col(Deployment.phase).not_in((Phase.START, Phase.OVER)),
    )
    found: str | None = await session.scalar(query.limit(1))
    return found


async def not_yet_deployed(
    session: AsyncSession, order_id: str, *, bindings: Collection[str]
) -> Sequence[tuple[str, State, str]]:
    """Return slot, state and target's name of those of these bindings that an order is not in place in yet, if it is to be."""
    over = (State.DEPLOYED, State.SUPERSEDED, State.CANCELLED)
    query = (
        sa.select(col(Binding.slot_key), col(Deployment.state), col(Target.name))
        .join(Deployment, col(Deployment.binding_id) == col(Binding.id))
        .join(Target, col(Target.id) == col(Binding.target_id))
        .where(
            col(Binding.id).in_(sorted(bindings)),
            col(Deployment.order_id) == order_id,
            col(Deployment.state).not_in(over),
        )
        .order_by(col(Binding.id))
    )
    return [(slot, State(state), name) for slot, state, name in await session.execute(query)]


def busy_networks(now: Any, *, most: Any) -> sa.Select[*tuple[Any, ...]]:
    """Return the networks in which as many targets are worked on as may be; both may be parameters."""
    other = _DEPLOYMENTS.alias("busy")
    return (
        sa.select(other.c.network)
        .join(_TARGETS, _TARGETS.c.id == other.c.target_id)
        .where(other.c.state == State.RUNNING, other.c.network.is_not(None), _TARGETS.c.lease_until > now)
        .group_by(other.c.network)
        .having(sa.func.count(sa.distinct(_TARGETS.c.id)) >= most)
    )


async def wake_dependants(tx: Transaction, lineage_id: str, *, now: datetime) -> None:
    """Have looked at again what waits for another binding of a lineage."""
    waiting = sa.update(Deployment).where(
        col(Deployment.lineage_id) == lineage_id, col(Deployment.hold) == Hold.DEPENDENCY
    )
    await tx.session.execute(waiting.values(next_attempt_at=now).execution_options(synchronize_session=False))


async def unfinished_of_binding(session: AsyncSession, binding_id: str) -> Sequence[Deployment]:
    """Return what is on its way into the slot of a binding, the oldest first."""
    query = sa.select(Deployment).where(
        col(Deployment.binding_id) == binding_id, col(Deployment.phase) != Phase.OVER
    )
    return (await session.scalars(query.order_by(col(Deployment.id)))).all()
