"""Campaigns: pages, counts, and their steps in sets, however many certificates they have."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.renewal.domain.campaigns import ALIVE, CampaignState, ItemState
from services.renewal.domain.orders import OPEN, State
from services.renewal.store.campaign_tables import Campaign, CampaignItem, EvidenceKey
from services.renewal.store.tables import Enrolment, Order, Profile
from shared.store import Transaction, insert, write_rows

Columns = Mapping[str, Any]
_AT_ONCE = 500


async def campaign_to_plan(session: AsyncSession) -> Campaign | None:
    """Return the oldest campaign that is being planned."""
    query = sa.select(Campaign).where(col(Campaign.state) == CampaignState.PLANNING)
    found: Campaign | None = await session.scalar(query.order_by(col(Campaign.id)).limit(1))
    return found


async def held_campaign(tx: Transaction, campaign_id: str) -> Campaign | None:
    """Return a campaign for changing."""
    found: Campaign | None = await tx.session.get(
        Campaign, campaign_id, with_for_update=True, populate_existing=True
    )
    return found


async def campaigns_alive(session: AsyncSession) -> Sequence[str]:
    """Return the ids of those of which something may be under way."""
    of_it = col(CampaignItem.campaign_id) == col(Campaign.id)
    has_state = col(CampaignItem.state)
    under_way = sa.exists().where(of_it, has_state.in_((ItemState.ORDERED, ItemState.RENEWED)))
    to_revoke = sa.exists().where(
        of_it, has_state == ItemState.REPLACED, ~col(CampaignItem.is_revocation_settled)
    )
    is_moving = col(Campaign.state).in_((CampaignState.RUNNING, CampaignState.PAUSED))
    query = sa.select(col(Campaign.id)).where(
        col(Campaign.state).in_(ALIVE),
        sa.or_(is_moving, under_way, sa.and_(col(Campaign.revoke).is_not(None), to_revoke)),
    )
    return (await session.scalars(query.order_by(col(Campaign.id)))).all()


async def claim_campaign(tx: Transaction, campaign_id: str) -> Campaign | None:
    """Return a campaign for the next step; None where another process is at it."""
    query = sa.select(Campaign).where(col(Campaign.id) == campaign_id).with_for_update(skip_locked=True)
    found: Campaign | None = await tx.session.scalar(query)
    return found


async def add_items(tx: Transaction, rows: Sequence[Columns]) -> None:
    """Add items; one whose lineage is there already stays as it is."""
    await write_rows(tx, insert(tx, CampaignItem).on_conflict_do_nothing(), rows)


async def drop_items(tx: Transaction, campaign_id: str) -> None:
    """Forget a plan."""
    await tx.session.execute(sa.delete(CampaignItem).where(col(CampaignItem.campaign_id) == campaign_id))


async def mark_bound(tx: Transaction, campaign_id: str, lineages: Collection[str]) -> None:
    """Remember that the provisioner puts these in place."""
    bound = sa.update(CampaignItem).where(
        col(CampaignItem.campaign_id) == campaign_id, col(CampaignItem.lineage_id).in_(lineages)
    )
    await tx.session.execute(bound.values(is_bound=True))


async def enrolled_profiles(session: AsyncSession, lineages: Collection[str]) -> dict[str, str]:
    """Return the names of the profiles that lineages are enrolled with."""
    query = sa.select(col(Enrolment.lineage_id), col(Profile.name)).join(
        Profile, col(Profile.id) == col(Enrolment.profile_id)
    )
    rows = await session.execute(query.where(col(Enrolment.lineage_id).in_(lineages)))
    return {row.lineage_id: row.name for row in rows}


async def put_into_waves(tx: Transaction, campaign_id: str, *, first: int, size: int) -> None:
    """Give every item that can be ordered its wave: what is put in place by itself first, then by expiry."""
    position = sa.func.row_number().over(
        order_by=(
            col(CampaignItem.is_bound).desc(),
            col(CampaignItem.not_after),
            col(CampaignItem.lineage_id),
        )
    )
    of_it = (
        col(CampaignItem.campaign_id) == campaign_id,
        col(CampaignItem.state) == ItemState.PLANNED,
    )
    placed = sa.select(col(CampaignItem.lineage_id), (position - 1).label("at")).where(*of_it).subquery()
    wave = sa.case((placed.c.at < first, 0), else_=1 + (placed.c.at - first) // size)
    await tx.session.execute(
        sa.update(CampaignItem)
        .where(*of_it, col(CampaignItem.lineage_id) == placed.c.lineage_id)
        .values(wave=wave)
        .execution_options(synchronize_session=False)
    )


async def item_lines(session: AsyncSession, campaign_id: str) -> AsyncIterator[CampaignItem]:
    """Yield all items in the order of their lineages, some hundred at a time."""
    after: str | None = None
    while True:
        rows = await items_page(session, campaign_id, after=after, limit=_AT_ONCE, state=None, wave=None)
        for row in rows[:_AT_ONCE]:
            yield row
        if len(rows) <= _AT_ONCE:
            return
        after = rows[_AT_ONCE - 1].lineage_id
        for row in rows:
            session.expunge(row)  # what was shown is not kept in memory


async def items_page(
    session: AsyncSession,
    campaign_id: str,
    *,
    after: str | None,
    limit: int,
    state: ItemState | None,
    wave: int | None,
) -> Sequence[CampaignItem]:
    """Return up to `limit + 1` items in the order of their lineages."""
    query = sa.select(CampaignItem).where(col(CampaignItem.campaign_id) == campaign_id)
    if state is not None:
        query = query.where(col(CampaignItem.state) == state)
    if wave is not None:
        query = query.where(col(CampaignItem.wave) == wave)
    if after is not None:
        query = query.where(col(CampaignItem.lineage_id) > after)
    return (await session.scalars(query.order_by(col(CampaignItem.lineage_id)).limit(limit + 1))).all()


async def item_counts(
    session: AsyncSession, campaign_id: str, *, wave: int | None = None
) -> dict[ItemState, int]:
    """Return how many items are in which state, of one wave or of all."""
    query = sa.select(col(CampaignItem.state), sa.func.count().label("number"))
    query = query.where(col(CampaignItem.campaign_id) == campaign_id)
    if wave is not None:
        query = query.where(col(CampaignItem.wave) == wave)
    rows = await session.execute(query.group_by(col(CampaignItem.state)))
    return {ItemState(row.state): row.number for row in rows}


async def item_sums(session: AsyncSession, campaign_id: str) -> dict[str, int]:
    """Return how many are put in place by themselves, how many by hand, and the number of waves."""
    query = sa.select(
        sa.func.count().label("total"),
        sa.func.count().filter(col(CampaignItem.is_bound)).label("bound"),
        sa.func.coalesce(sa.func.max(col(CampaignItem.wave)) + 1, 0).label("waves"),
    ).where(col(CampaignItem.campaign_id) == campaign_id)
    row = (await session.execute(query)).one()
    return {"total": row.total, "bound": row.bound, "waves": row.waves}


async def obstacles(session: AsyncSession, campaign_id: str, *, limit: int) -> Sequence[Any]:
    """Return who has to replace how many by hand, and why: owner, obstacle, number; the most first."""
    number = sa.func.count().label("number")
    query = sa.select(col(CampaignItem.owner), col(CampaignItem.obstacle), number)
    query = query.where(
        col(CampaignItem.campaign_id) == campaign_id, col(CampaignItem.state) == ItemState.BY_HAND
    )
    query = query.group_by(col(CampaignItem.owner), col(CampaignItem.obstacle))
    return (await session.execute(query.order_by(sa.desc("number")).limit(limit))).all()


async def done_since(session: AsyncSession, campaign_id: str, *, since: datetime, observed: bool) -> int:
    """Return how many were renewed, or seen in place, since then."""
    moment = CampaignItem.observed_at if observed else CampaignItem.renewed_at
    query = sa.select(sa.func.count()).select_from(CampaignItem)
    query = query.where(col(CampaignItem.campaign_id) == campaign_id, col(moment) >= since)
    return int(await session.scalar(query) or 0)


async def settle(tx: Transaction, campaign_id: str, *, now: datetime) -> None:
    """Take over what has become of the orders."""
    of_order = (col(CampaignItem.campaign_id) == campaign_id, col(Order.id) == col(CampaignItem.order_id))
    is_renewed = col(Order.state) == State.RENEWED
    await tx.session.execute(
        sa.update(CampaignItem)
        .where(
            *of_order,
            col(CampaignItem.state) == ItemState.ORDERED,
            col(Order.state).in_((State.RENEWED, State.FAILED)),
        )
        .values(
            state=sa.case((is_renewed, ItemState.RENEWED.value), else_=ItemState.FAILED.value),
            new_fingerprint=col(Order.fingerprint),
            renewed_at=col(Order.renewed_at),
            obstacle=col(Order.last_error),
            next_step=col(Order.next_step),
            changed_at=now,
        )
        .execution_options(synchronize_session=False)
    )
    await tx.session.execute(
        sa.update(CampaignItem)
        .where(*of_order, col(CampaignItem.state) == ItemState.RENEWED, col(Order.observed_at).is_not(None))
        .values(state=ItemState.REPLACED.value, observed_at=col(Order.observed_at), changed_at=now)
        .execution_options(synchronize_session=False)
    )


async def items_to_order(
    tx: Transaction, campaign_id: str, *, wave: int, limit: int
) -> Sequence[CampaignItem]:
    """Return items whose turn it is."""
    query = sa.select(CampaignItem).where(
        col(CampaignItem.campaign_id) == campaign_id,
        col(CampaignItem.state) == ItemState.PLANNED,
        col(CampaignItem.wave) <= wave,
    )
    query = query.order_by(col(CampaignItem.wave), col(CampaignItem.lineage_id)).limit(limit)
    return (await tx.session.scalars(query.with_for_update())).all()


async def orders_standing(tx: Transaction, items: Sequence[CampaignItem]) -> dict[str, Order]:
    """Return the lineages' orders that are open, or have replaced the item's certificate already."""
    lineages = [item.lineage_id for item in items]
    old = [item.fingerprint for item in items]
    is_done = sa.and_(col(Order.state) == State.RENEWED, col(Order.old_fingerprint).in_(old))
    query = sa.select(Order).where(
        col(Order.lineage_id).in_(lineages), sa.or_(col(Order.state).in_(OPEN), is_done)
    )
    return {order.lineage_id: order for order in await tx.session.scalars(query.order_by(col(Order.id)))}


async def skip_planned(tx: Transaction, campaign_id: str, *, now: datetime) -> None:
    """Let nothing more be ordered."""
    await _move(tx, campaign_id, ItemState.PLANNED, ItemState.SKIPPED, now=now)


async def plan_failed_again(tx: Transaction, campaign_id: str, *, now: datetime) -> int:
    """Let what has failed be ordered again; return how many."""
    return await _move(tx, campaign_id, ItemState.FAILED, ItemState.PLANNED, now=now)


async def _move(
    tx: Transaction, campaign_id: str, before: ItemState, after: ItemState, *, now: datetime
) -> int:
    moved = sa.update(CampaignItem).where(
        col(CampaignItem.campaign_id) == campaign_id, col(CampaignItem.state) == before
    )
    changes: dict[str, Any] = {"state": after.value, "changed_at": now}
    if after is ItemState.PLANNED:
        changes["order_id"] = None
    done = await tx.session.execute(moved.values(changes).execution_options(synchronize_session=False))
    return int(getattr(done, "rowcount", 0))


async def evidence_keys(session: AsyncSession) -> Sequence[EvidenceKey]:
    """Return what reports are signed with, the present one first."""
    return (await session.scalars(sa.select(EvidenceKey).order_by(col(EvidenceKey.id).desc()))).all()


async def campaign_of_order(session: AsyncSession, order_id: str) -> tuple[Campaign, CampaignItem] | None:
    """Return the campaign that wants an order, and its item."""
    query = sa.select(Campaign, CampaignItem).join(
        CampaignItem, col(CampaignItem.campaign_id) == col(Campaign.id)
    )
    found = (await session.execute(query.where(col(CampaignItem.order_id) == order_id).limit(1))).first()
    return (found[0], found[1]) if found is not None else None


async def items_to_revoke(tx: Transaction, campaign_id: str, *, limit: int) -> Sequence[CampaignItem]:
    """Return items whose old certificate was seen to be replaced, and was not looked at for revocation yet."""
    query = sa.select(CampaignItem).where(
        col(CampaignItem.campaign_id) == campaign_id,
        col(CampaignItem.state) == ItemState.REPLACED,
        ~col(CampaignItem.is_revocation_settled),
    )
    return (await tx.session.scalars(query.order_by(col(CampaignItem.lineage_id)).limit(limit))).all()
