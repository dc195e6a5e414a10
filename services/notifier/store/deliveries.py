"""Queries on deliveries: what is due, and who is at it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from services.notifier.domain.alerts import AlertState
from services.notifier.domain.deliveries import WAITING, DeliveryState
from services.notifier.store.alerts import alerts_within
from services.notifier.store.pages import page
from services.notifier.store.tables import Alert, Channel, Delivery, Entry
from shared.store import Transaction
from shared.store.parameters import among
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


def _due(now: datetime, *, busy: Collection[str]) -> sa.Select[str, str]:
    # What was told first arrives first: a resolution waits for the telling that it resolves.
    earlier = aliased(Delivery)
    waits_for_earlier = sa.exists().where(
        col(earlier.alert_id) == col(Delivery.alert_id),
        col(earlier.channel_id) == col(Delivery.channel_id),
        col(earlier.number) < col(Delivery.number),
        col(earlier.state).in_(WAITING),
    )
    return (
        sa.select(col(Delivery.id), col(Delivery.channel_id))
        .join(Channel, sa.and_(col(Channel.id) == col(Delivery.channel_id), col(Channel.enabled)))
        .where(
            col(Delivery.state) == DeliveryState.PENDING,
            col(Delivery.next_attempt_at) <= now,
            sa.or_(col(Delivery.lease_until).is_(None), col(Delivery.lease_until) <= now),
            col(Delivery.channel_id).not_in(busy),
            sa.or_(col(Channel.rests_until).is_(None), col(Channel.rests_until) <= now),
            col(Delivery.digest_every).is_(None),
            ~waits_for_earlier,
        )
        .order_by(col(Delivery.next_attempt_at), col(Delivery.id))
    )


async def is_any_due(session: AsyncSession, now: datetime, *, busy: Collection[str]) -> bool:
    """Return whether there is something to claim, without locking anything."""
    return (await session.execute(_due(now, busy=busy).limit(1))).first() is not None


async def due_by_channel(
    tx: Transaction, *, busy: Collection[str], most: int, now: datetime
) -> dict[str, list[str]]:
    """Return the most overdue deliveries through channels that are not busy, held, by the ids of their channels."""
    query = _due(now, busy=busy).limit(most).with_for_update(of=Delivery, skip_locked=True)
    found: dict[str, list[str]] = {}
    for delivery_id, channel_id in (await tx.session.execute(query)).all():
        found.setdefault(channel_id, []).append(delivery_id)
    return found


async def claim(tx: Transaction, delivery_ids: Collection[str], *, until: datetime) -> Sequence[Delivery]:
    """Lease deliveries that are held, and count the attempt before it is made; return them, the most overdue first."""
    query = sa.select(Delivery).where(among(tx.session, col(Delivery.id), delivery_ids))
    query = query.order_by(col(Delivery.next_attempt_at), col(Delivery.id))
    found = (await tx.session.scalars(query)).all()
    for delivery in found:
        delivery.attempts += 1
        delivery.lease_until = until
    return found


async def still_ours(tx: Transaction, attempts: Mapping[str, int]) -> dict[str, Delivery]:
    """Return those of some claimed deliveries, held, that no other process has taken up since; `attempts` by their ids."""
    query = sa.select(Delivery).where(
        among(tx.session, col(Delivery.id), attempts), col(Delivery.state) == DeliveryState.PENDING
    )
    held = await tx.session.scalars(query.order_by(col(Delivery.id)).with_for_update())
    return {row.id: row for row in held.all() if row.attempts == attempts[row.id]}


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
    pending = (col(Delivery.channel_id) == channel_id, col(Delivery.state).in_(WAITING))
    values = {"state": DeliveryState.FAILED, "last_error": reason, "next_attempt_at": None}
    await tx.session.execute(sa.update(Delivery).where(*pending).values(values))


async def replay(
    tx: Transaction, *, channel_id: str, since: datetime, states: Collection[str], now: datetime
) -> int:
    """Let what was made since then and is in one of these states be sent through a channel again; return how many."""
    chosen = (
        col(Delivery.channel_id) == channel_id,
        col(Delivery.created_at) >= since,
        col(Delivery.state).in_(states),
    )
    again = {"state": DeliveryState.PENDING, "attempts": 0, "told": [], "refused": {}, "next_attempt_at": now}
    made = await tx.session.execute(
        sa.update(Delivery).where(*chosen).values(again).returning(col(Delivery.id))
    )
    return len(made.all())


@dataclass(frozen=True, kw_only=True)
class Told:
    """To whom of a channel an alert was told, or is to be."""

    is_own: bool
    addressed: frozenset[str]
    digest_every: int | None


async def channels_told(session: AsyncSession, alert_id: str) -> Mapping[str, Told]:
    """Return the channels that something of this alert went through, or is to go through."""
    query = sa.select(Delivery).where(
        col(Delivery.alert_id) == alert_id, col(Delivery.state) != DeliveryState.WITHDRAWN
    )
    told: dict[str, Told] = {}
    for row in (await session.scalars(query.order_by(col(Delivery.number)))).all():
        before = told.get(row.channel_id, Told(is_own=False, addressed=frozenset(), digest_every=None))
        told[row.channel_id] = Told(
            is_own=before.is_own or row.is_own,
            addressed=before.addressed | frozenset(row.addressed),
            digest_every=row.digest_every,
        )
    return told


async def unheard(
    session: AsyncSession, channel_id: str, *, after: str = "", limit: int
) -> Mapping[str, str]:
    """Return the subjects of open alerts that wait for somebody and that a channel has heard nothing of, by their ids.

    They come in the order of their ids, from the one behind `after` on.
    """
    query = sa.select(col(Alert.id), col(Alert.subject)).where(_is_unheard(channel_id), col(Alert.id) > after)
    rows = await session.execute(query.order_by(col(Alert.id)).limit(limit))
    return {row.id: row.subject for row in rows.all()}


async def unheard_of(session: AsyncSession, channel_id: str, alert_ids: Collection[str]) -> Sequence[Alert]:
    """Return those of some alerts of which that is so."""
    query = sa.select(Alert).where(_is_unheard(channel_id), among(session, col(Alert.id), alert_ids))
    query = query.order_by(col(Alert.id)).execution_options(populate_existing=True)
    return (await session.scalars(query)).all()


def _is_unheard(channel_id: str) -> sa.ColumnElement[bool]:
    told = sa.exists().where(
        col(Delivery.alert_id) == col(Alert.id),
        col(Delivery.channel_id) == channel_id,
        col(Delivery.state) != DeliveryState.WITHDRAWN,
    )
    # Somebody sees to what was acknowledged; what was put off or muted is to be told to nobody.
    silences = (col(Alert.acknowledged_at), col(Alert.snoozed_until), col(Alert.muted_at))
    return sa.and_(col(Alert.state) == AlertState.OPEN, *(each.is_(None) for each in silences), sa.not_(told))


async def withdraw(tx: Transaction, alert_id: str, *, now: datetime) -> None:
    """Withdraw what was to be told of an alert at a later time, and was not tried yet."""
    chosen = (
        col(Delivery.alert_id) == alert_id,
        col(Delivery.state) == DeliveryState.PENDING,
        col(Delivery.attempts) == 0,
        col(Delivery.next_attempt_at) > now,
    )
    values = {"state": DeliveryState.WITHDRAWN, "next_attempt_at": None}
    await tx.session.execute(sa.update(Delivery).where(*chosen).values(values))


async def turns_of(
    session: AsyncSession, deliveries: Collection[Delivery]
) -> dict[tuple[str, int], tuple[Alert, Entry]]:
    """Return the alerts that deliveries are about, and the turns that they tell, by the ids of both."""
    query = (
        sa.select(Alert, Entry)
        .join(Entry, col(Entry.alert_id) == col(Alert.id))
        .join(
            Delivery,
            sa.and_(col(Delivery.alert_id) == col(Entry.alert_id), col(Delivery.number) == col(Entry.number)),
        )
        .where(among(session, col(Delivery.id), {each.id for each in deliveries}))
    )
    rows = (await session.execute(query)).all()
    return {(alert.id, entry.number): (alert, entry) for alert, entry in rows}


async def was_told_before(session: AsyncSession, delivery: Delivery) -> bool:
    """Return whether a channel has been told of the same alert before."""
    query = sa.select(sa.literal(1)).where(
        col(Delivery.alert_id) == delivery.alert_id,
        col(Delivery.channel_id) == delivery.channel_id,
        col(Delivery.number) < delivery.number,
        col(Delivery.state) != DeliveryState.WITHDRAWN,
    )
    return (await session.execute(query.limit(1))).first() is not None
