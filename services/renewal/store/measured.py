"""What renewal tells Prometheus of its state."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.renewal.domain.orders import OPEN, State
from services.renewal.store.tables import Order
from shared.store.measured import Family, Reading, by_state, due_work

ORDERS = Family(
    "everleaf_orders", "Orders that are not over, and those that have failed, by state.", ("state",)
)
OLDEST = Family("everleaf_orders_oldest_seconds", "Since when the oldest order waits that is not over.")


async def measured(session: AsyncSession, now: datetime) -> list[Reading]:
    """Read how many orders are where, and how long they wait."""
    is_open = col(Order.state).in_(OPEN)
    oldest = await session.scalar(sa.select(sa.func.min(col(Order.created_at))).where(is_open))
    return [
        *await by_state(session, ORDERS, col(Order.state), states=(*OPEN, State.FAILED)),
        OLDEST.of(value=(now - oldest).total_seconds() if oldest is not None else 0),
        *await due_work(
            session,
            "orders",
            due_at=col(Order.next_attempt_at),
            held_until=col(Order.lease_until),
            now=now,
            where=(is_open,),
        ),
    ]
