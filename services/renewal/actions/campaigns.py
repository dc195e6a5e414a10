"""The verbs on campaigns, but for the work itself: plan, look at, start, pause, go on, abort."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from services.renewal import store
from services.renewal.domain.campaigns import (
    OVER,
    RATE_OVER,
    CampaignState,
    Forecast,
    ItemState,
    Until,
    Waves,
    Wishes,
    forecast,
)
from shared.access import Principal
from shared.errors import Conflict, Invalid, NotFound, Stale
from shared.events.renewal import CampaignChanged, RevocationReason
from shared.groups import listed
from shared.ids import new_id
from shared.store import Database, Transaction

MOST_OBSTACLES = 100


@dataclass(frozen=True, kw_only=True)
class NewCampaign:
    """What is to be replaced, by what, how fast, until when, and why."""

    name: str
    query: str
    reason: str
    deadline: datetime | None = None
    wishes: Wishes = field(default_factory=Wishes)
    waves: Waves = field(default_factory=Waves)
    revoke: RevocationReason | None = None
    groups: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a campaign is."""

    campaign: store.Campaign
    counts: Mapping[ItemState, int]
    total: int
    bound: int
    waves: int
    forecast: Forecast
    by_hand: Sequence[tuple[str | None, str | None, int]]
    """Who has to replace how many by hand, and why."""

    @property
    def is_late(self) -> bool:
        """Return whether it will not be over by its deadline, as it goes now."""
        return self.forecast.is_late(self.campaign.deadline)


class Gate(Protocol):
    """Decides whether a campaign may begin."""

    async def lets_pass(self, tx: Transaction, row: store.Campaign, *, now: datetime) -> bool:
        """Return whether it may; where not, its approvers are told, and it begins on their word."""


class Campaigns:
    """Certificates that are replaced together."""

    def __init__(self, database: Database, *, gate: Gate, ring: Callable[[], None]) -> None:
        self._database = database
        self._gate = gate
        self._ring = ring

    async def create(self, new: NewCampaign, *, caller: Principal, now: datetime) -> store.Campaign:
        """Begin to plan a campaign: nothing is ordered before it is started. Raises `Forbidden` or `Invalid`."""
        if new.deadline is not None and new.deadline <= now:
            raise Invalid("The deadline is over.", next_step="Name one that is to come.")
        row = store.Campaign(
            id=new_id(),
            name=new.name,
            query=new.query,
            reason=new.reason,
            deadline=new.deadline,
            profiles=list(new.wishes.profiles),
            not_from=list(new.wishes.not_from),
            waves=asdict(new.waves),
            revoke=new.revoke,
            groups=listed(caller.grouped(new.groups)),
            scope=sorted(caller.scope) if caller.scope is not None else None,
            state=CampaignState.PLANNING,
            plan_step="certificates",
            created_at=now,
            created_by=caller.id,
        )
        async with self._database.transaction() as tx:
            tx.session.add(row)
            await store.LINEAGES.add(tx, row.id, row.groups, at=now)
            tx.after_commit(self._ring)
        return row

    async def page(self, *, after: str | None, limit: int, caller: Principal) -> Sequence[store.Campaign]:
        """Return campaigns that the caller sees, newest first, one more than `limit` where there are more."""
        async with self._database.read() as session:
            return await store.newest(session, store.Campaign, after=after, limit=limit, scope=caller.scope)

    async def get(self, campaign_id: str, *, caller: Principal) -> store.Campaign:
        """Return a campaign. Raises `NotFound`."""
        async with self._database.read() as session:
            return _seen(await session.get(store.Campaign, campaign_id), campaign_id, caller=caller)

    async def progress(self, campaign_id: str, *, caller: Principal, now: datetime) -> Progress:
        """Return how far a campaign is. Raises `NotFound`."""
        row = await self.get(campaign_id, caller=caller)
        async with self._database.read() as session:
            counts = await store.item_counts(session, row.id)
            sums = await store.item_sums(session, row.id)
            hands = await store.obstacles(session, row.id, limit=MOST_OBSTACLES)
            return Progress(
                campaign=row,
                counts=counts,
                **sums,
                forecast=await forecast_of(session, row, counts, now=now),
                by_hand=[(each.owner, each.obstacle, each.number) for each in hands],
            )

    async def items(
        self,
        campaign_id: str,
        *,
        after: str | None,
        limit: int,
        state: ItemState | None,
        wave: int | None,
        caller: Principal,
    ) -> Sequence[store.CampaignItem]:
        """Return the certificates of a campaign, one more than `limit` where there are more. Raises `NotFound`."""
        await self.get(campaign_id, caller=caller)
        async with self._database.read() as session:
            return await store.items_page(
                session, campaign_id, after=after, limit=limit, state=state, wave=wave
            )

    async def plan_again(self, campaign_id: str, *, caller: Principal) -> store.Campaign:
        """Plan anew what was not started yet. Raises `NotFound` or `Conflict`."""
        async with self._database.transaction() as tx:
            row = await self._held(tx, campaign_id, caller=caller)
            _require(row, CampaignState.PLANNING, CampaignState.PLANNED)
            await store.drop_items(tx, row.id)
            row.state, row.plan_step, row.plan_cursor = CampaignState.PLANNING, "certificates", None
            row.plan_digest = row.last_error = row.next_step = None
            tx.after_commit(self._ring)
        return row

    async def start(
        self, campaign_id: str, *, digest: str, caller: Principal, now: datetime
    ) -> store.Campaign:
        """Start what was planned, or ask for its approval; `digest` is that of the plan that was looked at.

        Raises `NotFound`, `Conflict` where it cannot be started, or `Stale` where the plan is another one by now.
        """
        async with self._database.transaction() as tx:
            row = await self._held(tx, campaign_id, caller=caller)
            _require(row, CampaignState.PLANNED)
            if row.plan_digest != digest:
                raise Stale(
                    "The plan is not the one that was looked at.",
                    next_step="Look at it again, then start it.",
                )
            row.asked_by, row.last_error, row.next_step = caller.id, None, None
            if await self._gate.lets_pass(tx, row, now=now):
                row.started_at, row.started_by = now, caller.id
                await self._go(tx, row, CampaignState.RUNNING, now=now)
            else:
                row.next_step = "Have it approved: GET /v1/approvals shows what waits for whom."
                await self._go(tx, row, CampaignState.AWAITING_APPROVAL, now=now)
        return row

    async def pause(
        self, campaign_id: str, *, reason: str, caller: Principal, now: datetime
    ) -> store.Campaign:
        """Order nothing more until it is to go on; what is ordered comes to its end. Raises `NotFound` or `Conflict`."""
        async with self._database.transaction() as tx:
            row = await self._held(tx, campaign_id, caller=caller)
            _require(row, CampaignState.RUNNING)
            row.last_error, row.next_step = f"{caller.name}: {reason}", "Let it go on when it may."
            await self._go(tx, row, CampaignState.PAUSED, now=now)
        return row

    async def resume(
        self, campaign_id: str, *, retry_failed: bool, caller: Principal, now: datetime
    ) -> store.Campaign:
        """Go on, also with what has failed where that is asked for. Raises `NotFound` or `Conflict`."""
        async with self._database.transaction() as tx:
            row = await self._held(tx, campaign_id, caller=caller)
            _require(row, CampaignState.PAUSED, CampaignState.RUNNING, CampaignState.FINISHED)
            if retry_failed:
                await store.plan_failed_again(tx, row.id, now=now)
            in_wave = await store.item_counts(tx.session, row.id, wave=row.wave)
            row.forgiven = in_wave.get(ItemState.FAILED, 0)
            if row.state == CampaignState.FINISHED and not retry_failed:
                raise Conflict("The campaign is finished.", next_step="Let it try again what has failed.")
            row.last_error = row.next_step = row.finished_at = None
            await self._go(tx, row, CampaignState.RUNNING, now=now)
        return row

    async def abort(
        self, campaign_id: str, *, reason: str, caller: Principal, now: datetime
    ) -> store.Campaign:
        """End it: what is ordered comes to its end, nothing else is. Raises `NotFound` or `Conflict`."""
        async with self._database.transaction() as tx:
            row = await self._held(tx, campaign_id, caller=caller)
            if row.state in (CampaignState.ABORTED, CampaignState.FINISHED):
                raise Conflict(f"The campaign is {row.state}.", next_step="Nothing is to be done.")
            await store.skip_planned(tx, row.id, now=now)
            row.last_error, row.next_step = f"{caller.name}: {reason}", "Plan another one for what is left."
            row.finished_at = now
            await self._go(tx, row, CampaignState.ABORTED, now=now)
        return row

    async def _held(self, tx: Transaction, campaign_id: str, *, caller: Principal) -> store.Campaign:
        return _seen(await store.held_campaign(tx, campaign_id), campaign_id, caller=caller)

    async def _go(self, tx: Transaction, row: store.Campaign, state: CampaignState, *, now: datetime) -> None:
        row.state = state
        await tell(tx, row, now=now)
        tx.after_commit(self._ring)


async def tell(tx: Transaction, row: store.Campaign, *, now: datetime, reason: str | None = None) -> None:
    """Say where a campaign is; `reason` is why, where that is nothing that is in its way."""
    counts = await store.item_counts(tx.session, row.id)
    expected = await forecast_of(tx.session, row, counts, now=now)
    event = CampaignChanged(
        campaign_id=row.id,
        name=row.name,
        state=row.state,
        counts={state.value: number for state, number in counts.items()},
        reason=reason or row.last_error,
        next_step=row.next_step,
        deadline=row.deadline,
        ends_at=expected.ends_at,
        is_late=expected.is_late(row.deadline),
        groups=row.groups,
    )
    tx.emit(event, now=now)


async def forecast_of(
    session: AsyncSession, row: store.Campaign, counts: Mapping[ItemState, int], *, now: datetime
) -> Forecast:
    """Return when a campaign whose items are in these states will be over."""
    waits_for_places = waves_of(row).until is Until.REPLACED
    done = OVER if waits_for_places else OVER | {ItemState.RENEWED}
    left = sum(number for state, number in counts.items() if state not in done)
    if row.started_at is None or row.state != CampaignState.RUNNING:
        return Forecast(per_hour=0.0, ends_at=None)
    since = max(row.started_at, now - RATE_OVER)
    lately = await store.done_since(session, row.id, since=since, observed=waits_for_places)
    return forecast(left=left, lately=lately, over=now - since, now=now)


def waves_of(row: store.Campaign) -> Waves:
    """Return how fast a campaign goes."""
    return Waves(**{**row.waves, "until": Until(row.waves["until"])})


def _seen(row: store.Campaign | None, campaign_id: str, *, caller: Principal) -> store.Campaign:
    if row is None or not caller.sees(row.groups):
        raise NotFound(f"There is no campaign {campaign_id}.", next_step="List them with GET /v1/campaigns.")
    return row


def _require(row: store.Campaign, *states: CampaignState) -> None:
    if row.state not in states:
        needed = " or ".join(states)
        raise Conflict(f"The campaign is {row.state}.", next_step=f"This can be done while it is {needed}.")
