"""What decides whether a deployment may begin, and who waits for it."""

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.provisioner.domain import Hold, Phase, State
from services.provisioner.store.approvals import ApprovalRule
from services.provisioner.store.tables import Binding, Deployment, Target, table_of
from services.provisioner.store.windows import ChangeWindow, Freeze
from shared.store import Instant, Transaction

_OTHERS = sa.exists().where(
    col(Deployment.binding_id) == sa.bindparam("binding_id"),
    col(Deployment.id) != sa.bindparam("id"),
    sa.or_(
        col(Deployment.phase).not_in((Phase.START, Phase.OVER)),
        col(Deployment.renewed_at) > sa.bindparam("renewed_at", type_=Instant()),
    ),
)
_RULES = (col(ApprovalRule.id), col(ChangeWindow.id), col(Freeze.id))
_NOT_ALONE = sa.select(sa.or_(_OTHERS, *(sa.exists(sa.select(each)) for each in _RULES)))


_DEPLOYMENTS = table_of(Deployment)
_WAKE_THOSE_AFTER = (
    sa.update(_DEPLOYMENTS)
    .where(
        sa.or_(
            sa.and_(
                _DEPLOYMENTS.c.order_id == sa.bindparam("of_order"), _DEPLOYMENTS.c.hold == Hold.DEPENDENCY
            ),
            sa.and_(
                _DEPLOYMENTS.c.binding_id == sa.bindparam("of_binding"), _DEPLOYMENTS.c.hold == Hold.SLOT
            ),
        ),
        _DEPLOYMENTS.c.phase == Phase.START,
    )
    .values(next_attempt_at=sa.bindparam("at"))
)


async def half_done(session: AsyncSession, deployment: Deployment) -> str | None:
    """Return another deployment of the same slot that has begun, and is not over."""
    query = sa.select(col(Deployment.id)).where(
        col(Deployment.binding_id) == deployment.binding_id,
        col(Deployment.id) != deployment.id,
        col(Deployment.phase).not_in((Phase.START, Phase.OVER)),
    )
    found: str | None = await session.scalar(query.limit(1))
    return found


async def is_alone(session: AsyncSession, deployment: Deployment) -> bool:
    """Return whether no other deployment into the slot is newer or under way, and no target has rules, windows or freezes.

    One question, and nearly always the answer: then nobody has to ask what exactly is in the way.
    """
    return not await session.scalar(
        _NOT_ALONE,
        {
            "id": deployment.id,
            "binding_id": deployment.binding_id,
            "renewed_at": deployment.renewed_at,
        },
    )


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


async def wake_those_after(tx: Transaction, *, order_id: str, binding_id: str, now: datetime) -> None:
    """Have looked at again what waits for a deployment: of its order, or of its slot."""
    about = {"of_order": order_id, "of_binding": binding_id, "at": now}
    await tx.session.execute(_WAKE_THOSE_AFTER, about)


def busy_networks(now: datetime, *, most: int) -> sa.Select[str | None]:
    """Return the networks in which as many targets are worked on as may be."""
    return (
        sa.select(col(Deployment.network))
        .join(Target, col(Target.id) == col(Deployment.target_id))
        .where(
            col(Deployment.state) == State.RUNNING,
            col(Deployment.network).is_not(None),
            col(Target.lease_until) > now,
        )
        .group_by(col(Deployment.network))
        .having(sa.func.count(sa.distinct(col(Target.id))) >= most)
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
