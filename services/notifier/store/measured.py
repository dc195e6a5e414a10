"""What the notifier tells Prometheus of its state."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.notifier.domain.deliveries import WAITING, DeliveryState
from services.notifier.store.tables import Alert, Channel, Delivery
from shared.events.notifier import Severity
from shared.store.measured import Family, Reading, by_state, due_work

ALERTS = Family("everleaf_alerts_open", "Open alerts, by severity.", ("severity",))
DELIVERIES = Family("everleaf_deliveries", "Tellings that wait or have failed, by state.", ("state",))
DISABLED = Family("everleaf_channels_disabled", "Channels that the notifier itself has turned off.")


async def measured(session: AsyncSession, now: datetime) -> list[Reading]:
    """Read how many alerts are open, and what is not told yet."""
    severity = col(Alert.severity)
    query = sa.select(severity, sa.func.count()).where(col(Alert.state) == "open").group_by(severity)
    found = {row[0]: row[1] for row in await session.execute(query)}
    off = sa.select(sa.func.count()).select_from(Channel).where(col(Channel.disabled_because).is_not(None))
    return [
        *(ALERTS.of(each, value=found.get(each, 0)) for each in Severity),
        *await by_state(session, DELIVERIES, col(Delivery.state), states=(*WAITING, DeliveryState.FAILED)),
        *await due_work(
            session,
            "deliveries",
            due_at=col(Delivery.next_attempt_at),
            held_until=col(Delivery.lease_until),
            now=now,
            where=(col(Delivery.state) == DeliveryState.PENDING,),
        ),
        DISABLED.of(value=await session.scalar(off) or 0),
    ]
