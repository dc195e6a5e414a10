"""Queries on deliveries: what is due, and who is at it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from services.notifier.domain.deliveries import DeliveryState
from services.notifier.store.alerts import alerts_within
from services.notifier.store.pages import page
from services.notifier.store.tables import Alert, Channel, Delivery
from shared.store import Transaction
from shared.store.scopes import Scope, within


async def deliveries_page(
    session: AsyncSession, *, only: Mapping[str, str], after: str | None, limit: int, scope: Scope
) -> Sequence[Delivery]:
    """Return a page of the deliveries of a scope whose columns have these values."""
    query = sa.select(Delivery).filter_by(**only).where(_within(scope))
    found: Sequence[Delivery] = await page(session, query, col(Delivery.id), after=after, limit=limit)
    return found


def _within(scope: Scope) -> sa.ColumnElement[bool]:
    """Return the condition that both its alert and its channel are in a scope: it says who was told what."""
    if scope is None:
        return sa.true()
    alert = sa.exists().where(col(Alert.id) == col(Delivery.alert_id), alerts_within(scope))
    channel = sa.exists().where(col(Channel.id) == col(Delivery.channel_id), within(Channel.groups, scope))
    return sa.and_(alert, channel)


async def is_delivery_within(session: AsyncSession, delivery_id: str, *, scope: Scope) -> bool:
    """Return whether a delivery is in a scope."""
    query = sa.select(col(Delivery.id)).where(col(Delivery.id) == delivery_id, _within(scope))
    return await session.scalar(query) is not None


async def deliveries_of(session: AsyncSession, alert_id: str, *, scope: Scope) -> Sequence[Delivery]:
    """Return an alert's deliveries in a scope, oldest turn first."""
    query = sa.select(Delivery).where(col(Delivery.alert_id) == alert_id, _within(scope))
    return (await session.scalars(query.order_by(col(Delivery.number), col(Delivery.id)))).all()


def _due(now: datetime, *, busy: Collection[str]) -> sa.Select[Delivery]:
    # What was told first arrives first: a resolution waits for the telling that it resolves.
    earlier = aliased(Delivery)
    waits_for_earlier = sa.exists().where(
        col(earlier.alert_id) == col(Delivery.alert_id),
        col(earlier.channel_id) == col(Delivery.channel_id),
        col(earlier.number) < col(Delivery.number),
        col(earlier.state) == DeliveryState.PENDING,
    )
    return (
        sa.select(Delivery)
        .join(Channel, sa.and_(col(Channel.id) == col(Delivery.channel_id), col(Channel.enabled)))
        .where(
            col(Delivery.state) == DeliveryState.PENDING,
            col(Delivery.next_attempt_at) <= now,
            sa.or_(col(Delivery.lease_until).is_(None), col(Delivery.lease_until) <= now),
            col(Delivery.channel_id).not_in(busy),
            ~waits_for_earlier,
        )
        .order_by(col(Delivery.next_attempt_at), col(Delivery.id))
        .limit(1)
    )


async def is_any_due(session: AsyncSession, now: datetime, *, busy: Collection[str]) -> bool:
    """Return whether there is something to claim, without locking anything."""
    return (await session.execute(_due(now, busy=busy))).first() is not None


async def claim(tx: Transaction, *, until: datetime, busy: Collection[str], now: datetime) -> Delivery | None:
    """Take the most overdue delivery through a channel that is not busy; count the attempt before it is made."""
    query = _due(now, busy=busy).with_for_update(of=Delivery, skip_locked=True)
    found: Delivery | None = await tx.session.scalar(query)
    if found is not None:
        found.attempts += 1
        found.lease_until = until
    return found


async def still_ours(tx: Transaction, delivery_id: str, *, attempts: int) -> Delivery | None:
    """Return a claimed delivery, held, where no other process has taken it up since."""
    query = sa.select(Delivery).where(
        col(Delivery.id) == delivery_id,
        col(Delivery.attempts) == attempts,
        col(Delivery.state) == DeliveryState.PENDING,
    )
    found: Delivery | None = await tx.session.scalar(query.with_for_update())
    return found


async def held_delivery(tx: Transaction, delivery_id: str) -> Delivery | None:
    """Return a delivery, held until the transaction ends."""
    query = sa.select(Delivery).where(col(Delivery.id) == delivery_id).with_for_update()
    found: Delivery | None = await tx.session.scalar(query)
    return found


async def end_all_leases(tx: Transaction) -> None:
    """Let every delivery be taken up at once: right only where no other process can be at work."""
    await tx.session.execute(sa.update(Delivery).values(lease_until=None))


async def give_up_pending(tx: Transaction, *, channel_id: str, reason: str) -> None:
    """Fail whatever is still to go through a channel."""
    pending = (col(Delivery.channel_id) == channel_id, col(Delivery.state) == DeliveryState.PENDING)
    values = {"state": DeliveryState.FAILED, "last_error": reason, "next_attempt_at": None}
    await tx.session.execute(sa.update(Delivery).where(*pending).values(values))


async def channels_told(session: AsyncSession, alert_id: str) -> Sequence[str]:
    """Return the channels that something of this alert went through, or is to go through."""
    query = sa.select(col(Delivery.channel_id)).where(col(Delivery.alert_id) == alert_id).distinct()
    return (await session.scalars(query)).all()
