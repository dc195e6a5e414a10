"""Queries on deliveries that go out together."""

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.notifier.domain.deliveries import DeliveryState
from services.notifier.store.tables import Alert, Delivery
from shared.store import Transaction


async def count_since(session: AsyncSession, channel_id: str, *, since: datetime, most: int) -> int:
    """Return how many deliveries through a channel were made since then that are sent alone; counted up to `most`."""
    some = (
        sa.select(sa.literal(1))
        .where(
            col(Delivery.channel_id) == channel_id,
            col(Delivery.created_at) > since,
            col(Delivery.digest_every).is_(None),
            col(Delivery.alert_id).is_not(None),
        )
        .limit(most)
    )
    return await session.scalar(sa.select(sa.func.count()).select_from(some.subquery())) or 0


def _due(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        col(Delivery.state) == DeliveryState.PENDING,
        col(Delivery.next_attempt_at) <= now,
        col(Delivery.digest_every).is_not(None),
    )


async def channels_to_gather(session: AsyncSession, *, now: datetime) -> Sequence[str]:
    """Return the channels through which a digest is due."""
    query = sa.select(col(Delivery.channel_id)).where(*_due(now)).distinct()
    return sorted((await session.scalars(query)).all())


async def to_gather(tx: Transaction, channel_id: str, *, now: datetime) -> Sequence[Delivery]:
    """Return what is due for digests through a channel, held, oldest first."""
    query = sa.select(Delivery).where(*_due(now), col(Delivery.channel_id) == channel_id)
    return (await tx.session.scalars(query.order_by(col(Delivery.id)).with_for_update())).all()


async def alerts_of(tx: Transaction, alert_ids: Collection[str]) -> Sequence[Alert]:
    """Return alerts."""
    found: list[Alert] = []
    ids = sorted(alert_ids)
    for start in range(0, len(ids), 500):
        query = sa.select(Alert).where(col(Alert.id).in_(ids[start : start + 500]))
        found += (await tx.session.scalars(query)).all()
    return found


async def put_into(tx: Transaction, digest_id: str, delivery_ids: Sequence[str]) -> None:
    """Let a digest tell these deliveries."""
    for start in range(0, len(delivery_ids), 500):
        chosen = col(Delivery.id).in_(delivery_ids[start : start + 500])
        values = {"state": DeliveryState.GATHERED, "digest_id": digest_id, "next_attempt_at": None}
        await tx.session.execute(sa.update(Delivery).where(chosen).values(values))


async def settle_gathered(
    tx: Transaction, digest_id: str, *, state: DeliveryState, text: str, now: datetime
) -> None:
    """Let what has become of a digest be what has become of each delivery in it."""
    is_told = state is DeliveryState.DELIVERED
    said = {"answer": text, "delivered_at": now} if is_told else {"last_error": text}
    query = sa.update(Delivery).where(col(Delivery.digest_id) == digest_id)
    await tx.session.execute(query.values({"state": state, **said}))
