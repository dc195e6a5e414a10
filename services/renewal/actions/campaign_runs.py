"""Carries campaigns out: orders wave by wave, and takes over what has become of the orders."""

from collections.abc import Callable
from datetime import datetime

from services.renewal import store
from services.renewal.actions.campaigns import forecast_of, tell, waves_of
from services.renewal.actions.placing import new_orders
from services.renewal.actions.revocations import Revocations
from services.renewal.domain.campaigns import (
    CampaignState,
    Counts,
    ItemState,
    Next,
    Waves,
    by_campaign,
    is_over,
    judge,
)
from shared.events.renewal import RevocationReason
from shared.store import Database, Transaction

_AT_ONCE = 100
"""Orders that are made in one transaction."""


class CampaignRuns:
    """Steps of campaigns; each is one transaction, and a campaign is at one process at a time."""

    def __init__(self, database: Database, *, revocations: Revocations, ring: Callable[[], None]) -> None:
        self._database = database
        self._revocations = revocations
        self._ring = ring

    async def step(self, now: datetime) -> bool:
        """Do what can be done of every campaign; return whether any has more to do at once."""
        async with self._database.read() as session:
            alive = await store.campaigns_alive(session)
        has_more = False
        for campaign_id in alive:
            async with self._database.transaction() as tx:
                row = await store.claim_campaign(tx, campaign_id)
                has_more |= row is not None and await self._go_on(tx, row, now=now)
        return has_more

    async def _go_on(self, tx: Transaction, row: store.Campaign, *, now: datetime) -> bool:
        await store.settle(tx, row.id, now=now)
        has_more = await self._revoke(tx, row, now=now)
        return await self._order_on(tx, row, now=now) or has_more

    async def _revoke(self, tx: Transaction, row: store.Campaign, *, now: datetime) -> bool:
        """Have the old certificates revoked that were seen to be replaced; those that were obtained elsewhere are said to be."""
        if row.revoke is None:
            return False
        items = await store.items_to_revoke(tx, row.id, limit=_AT_ONCE)
        for item in items:
            revocation = await self._revocations.after_replacement(
                tx,
                item.fingerprint,
                reason=RevocationReason(row.revoke),
                explanation=row.reason,
                by=by_campaign(row.id),
                now=now,
            )
            item.is_revocation_settled, item.changed_at = True, now
            if revocation is not None:
                item.revocation_id = revocation.id
            else:
                item.next_step = "Revoke the old one where it was issued: it was not obtained here."
        return len(items) == _AT_ONCE

    async def _order_on(self, tx: Transaction, row: store.Campaign, *, now: datetime) -> bool:
        if row.state != CampaignState.RUNNING:
            return False
        waves = waves_of(row)
        counts = await store.item_counts(tx.session, row.id)
        if is_over(counts):
            row.finished_at = now
            await self._end(tx, row, CampaignState.FINISHED, now=now)
            return False
        await self._warn(tx, row, counts, now=now)
        if not await self._may_go_on(tx, row, waves, now=now):
            return False
        return await self._order(tx, row, waves, in_flight=counts.get(ItemState.ORDERED, 0), now=now)

    async def _warn(self, tx: Transaction, row: store.Campaign, counts: Counts, *, now: datetime) -> None:
        """Say once that it will not be over by its deadline."""
        if row.deadline is None or row.is_told_late:
            return
        expected = await forecast_of(tx.session, row, counts, now=now)
        if expected.is_late(row.deadline) or now >= row.deadline:
            row.is_told_late = True
            await tell(tx, row, now=now)

    async def _may_go_on(self, tx: Transaction, row: store.Campaign, waves: Waves, *, now: datetime) -> bool:
        """Begin the next wave where this one is over; stop where too much of it has failed."""
        in_wave = await store.item_counts(tx.session, row.id, wave=row.wave)
        match judge(in_wave, waves=waves, forgiven=row.forgiven):
            case Next.STOP:
                failed, total = in_wave[ItemState.FAILED], sum(in_wave.values())
                row.last_error = f"{failed} of the {total} certificates of wave {row.wave} have failed."
                row.next_step = "Look at the failed items; then let the campaign go on, with them or without."
                await self._end(tx, row, CampaignState.PAUSED, now=now)
                return False
            case Next.NEXT_WAVE if row.wave + 1 < (await store.item_sums(tx.session, row.id))["waves"]:
                row.wave, row.forgiven = row.wave + 1, 0
                await tell(tx, row, now=now)
        return True

    async def _order(
        self, tx: Transaction, row: store.Campaign, waves: Waves, *, in_flight: int, now: datetime
    ) -> bool:
        free = min(waves.in_flight - in_flight, _AT_ONCE)
        if free <= 0:
            return False
        items = await store.items_to_order(tx, row.id, wave=row.wave, limit=free)
        if not items:
            return False
        await store.lock_lineages(tx, [item.lineage_id for item in items])
        standing = await store.orders_standing(tx, items)
        fresh = [item for item in items if item.lineage_id not in standing]
        made = await new_orders(tx, fresh, by=by_campaign(row.id), now=now)
        for item in items:
            order = made.get(item.lineage_id) or standing[item.lineage_id]
            _ordered(item, order, row, now=now)
        tx.after_commit(self._ring)
        return len(items) == free

    async def _end(
        self, tx: Transaction, row: store.Campaign, state: CampaignState, *, now: datetime
    ) -> None:
        row.state = state
        await tell(tx, row, now=now)


def _ordered(item: store.CampaignItem, order: store.Order, row: store.Campaign, *, now: datetime) -> None:
    """Tie an item to its order, which may be one that others have begun."""
    item.changed_at = now
    if order.authority in row.not_from:
        item.obstacle = f"The order {order.id} of this lineage is {order.state}, and from {order.authority}."
        item.next_step = "It is looked at again when that order is over."
        return
    item.state, item.order_id, item.ordered_at = ItemState.ORDERED, order.id, now
    item.obstacle = item.next_step = None
