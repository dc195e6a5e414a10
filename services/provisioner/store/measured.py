"""What the provisioner tells Prometheus of its state."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.provisioner.domain import OPEN, State
from services.provisioner.store.tables import Binding, Deployment, Target
from shared.store.measured import OVERDUE, Family, Reading, by_state

DEPLOYMENTS = Family(
    "everleaf_deployments", "Deployments that are not over, and those that have failed, by state.", ("state",)
)
DRIFTED = Family("everleaf_bindings_drifted", "Bindings at whose endpoints another certificate was seen.")
LEASES = Family(
    "everleaf_target_leases", "Targets that somebody works on, and those whose lease has run out.", ("state",)
)


async def measured(session: AsyncSession, now: datetime) -> list[Reading]:
    """Read how many deployments are where, and how long they wait."""
    due = col(Deployment.next_attempt_at)
    # A deployment waits for the lease of its target, and for nothing else when it is due.
    free = sa.or_(col(Target.lease_until).is_(None), col(Target.lease_until) <= now)
    left = sa.select(sa.func.min(due)).select_from(Deployment).where(due <= now, free)
    left = left.join(Target, col(Target.id) == col(Deployment.target_id))
    oldest = await session.scalar(left)
    is_held = col(Target.lease_until) > now
    leases = sa.select(sa.func.count().filter(is_held), sa.func.count().filter(~is_held))
    held, lapsed = (await session.execute(leases.where(col(Target.lease_until).is_not(None)))).one()
    drifted = sa.select(sa.func.count()).select_from(Binding).where(col(Binding.drifted_at).is_not(None))
    return [
        *await by_state(session, DEPLOYMENTS, col(Deployment.state), states=(*OPEN, State.FAILED)),
        OVERDUE.of("deployments", value=(now - oldest).total_seconds() if oldest is not None else 0),
        LEASES.of("held", value=held),
        LEASES.of("lapsed", value=lapsed),
        DRIFTED.of(value=await session.scalar(drifted) or 0),
    ]
