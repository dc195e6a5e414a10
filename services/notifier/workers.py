"""What the notifier does by the clock: notice thresholds, pursue what nobody takes up, hand over what is due, look at tickets."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import anyio
import structlog
from anyio.abc import TaskGroup

from services.notifier import store
from services.notifier.actions.deliveries import MOST, Deliveries, Job
from services.notifier.actions.digests import Digests
from services.notifier.actions.handing_over import Claimed, HandingOver
from services.notifier.actions.logs import Logs
from services.notifier.actions.pursuits import Pursuits
from services.notifier.actions.report_schedules import ReportSchedules
from services.notifier.actions.thresholds import Thresholds
from services.notifier.actions.tickets import Tickets
from services.notifier.actions.trail import Trail
from services.notifier.actions.trail_watch import TrailWatch
from services.notifier.connectors import Delivered, Sent
from shared.clock import Clock
from shared.service import Lanes, Worker
from shared.store import is_away

log = structlog.get_logger(__name__)
WATCH_EVERY = timedelta(minutes=1)
LET_GO_EVERY = timedelta(hours=1)


LOOK = timedelta(seconds=1)
"""A certificate of an hour has thresholds minutes apart; looking costs one indexed query."""
UNHURRIED = timedelta(seconds=10)
"""A report may come this much later."""


def workers(
    *,
    thresholds: Thresholds,
    pursuits: Pursuits,
    digests: Digests,
    schedules: ReportSchedules,
    clock: Clock,
) -> Sequence[Worker]:
    """Return the workers beside the postman."""
    return (
        Worker("thresholds", thresholds.cross_due, clock=clock, every=LOOK),
        Worker("pursuits", pursuits.pursue_due, clock=clock, every=LOOK),
        Worker("digests", digests.gather_due, clock=clock, every=LOOK),
        Worker("reports", schedules.send_due, clock=clock, every=UNHURRIED),
    )


@dataclass(eq=False)
class _Way:
    """What is under way through one channel."""

    channel: store.Channel
    lanes: anyio.CapacityLimiter
    """So many are sent at a time."""
    room: int
    """So many are claimed at a time: more and more while all goes well, as each claim costs the same."""
    under_way: int = 0
    setbacks: int = 0
    """What was claimed before the last of them is not tried: the channel may rest now, or be off."""
    outcomes: list[tuple[Job, Sent | None]] = field(default_factory=list)
    is_recording: bool = False


class Postman:
    """Sends due deliveries, up to `parallel` at a time through one channel; no channel waits for another."""

    def __init__(self, deliveries: Deliveries, *, clock: Clock, parallel: int, every: timedelta) -> None:
        self._deliveries = deliveries
        self._clock = clock
        self._parallel = parallel
        self._ways: dict[str, _Way] = {}
        self._worker = Worker("deliveries", self._step, clock=clock, every=every)
        self._tasks: TaskGroup

    async def run(self) -> None:
        """Work until cancelled."""
        await self._deliveries.recover()
        async with anyio.create_task_group() as self._tasks:
            await self._worker.run()

    async def _step(self, now: datetime) -> bool:
        busy = [channel for channel, way in self._ways.items() if way.under_way >= self._parallel]
        jobs = await self._deliveries.claim(busy=busy, now=now, room=self._room)
        for job in jobs:
            way = self._way(job.channel)
            way.under_way += 1
            self._tasks.start_soon(self._deliver, job, way, way.setbacks)
        return bool(jobs)

    def _room(self, channel_id: str) -> int:
        way = self._ways.get(channel_id)
        return way.room if way is not None else self._parallel

    def _way(self, channel: store.Channel) -> _Way:
        way = self._ways.get(channel.id)
        if way is None:
            lanes = anyio.CapacityLimiter(self._parallel)
            way = self._ways[channel.id] = _Way(channel=channel, lanes=lanes, room=self._parallel)
        way.channel = channel
        return way

    async def _deliver(self, job: Job, way: _Way, setbacks: int) -> None:
        sent: Sent | None = None
        async with way.lanes:
            now = self._clock()
            if way.setbacks == setbacks and not self._deliveries.is_late(job, now=now):
                sent = await self._deliveries.send(job, now=now)
        if isinstance(sent, Delivered):
            way.room = min(way.room + 1, MOST)
        else:
            way.room = self._parallel
            way.setbacks += sent is not None
        way.outcomes.append((job, sent))
        if not way.is_recording:
            await self._record(way)

    async def _record(self, way: _Way) -> None:
        """Write down what has come out, and then what has come out in the meantime, until there is nothing more."""
        way.is_recording = True
        try:
            while way.outcomes:
                outcomes, way.outcomes = way.outcomes, []
                await self._record_some(way, outcomes)
        finally:
            way.is_recording = False

    async def _record_some(self, way: _Way, outcomes: Sequence[tuple[Job, Sent | None]]) -> None:
        try:
            await self._deliveries.record(way.channel, outcomes, now=self._clock())
        except Exception as error:
            if not is_away(error):
                raise
            # The leases run out, and they are sent again.
            ids = [job.delivery_id for job, _ in outcomes]
            log.warning("delivery.outcomes_lost", deliveries=ids, error=str(error))
        finally:
            way.under_way -= len(outcomes)
            self._worker.ring()


class Clerk:
    """Looks at open tickets, one after the other."""

    def __init__(self, tickets: Tickets, *, clock: Clock, every: timedelta) -> None:
        self._tickets = tickets
        self._clock = clock
        self._worker = Worker("tickets", self._step, clock=clock, every=every)

    async def run(self) -> None:
        """Work until cancelled."""
        await self._worker.run()

    async def _step(self, now: datetime) -> bool:
        look = await self._tickets.claim(now=now)
        if look is None:
            return False
        seen = await self._tickets.look(look, now=self._clock())
        if seen is not None:
            await self._tickets.take(look, seen, now=self._clock())
        return True


def trail_workers(trail: Trail, watch: TrailWatch, *, every: timedelta, clock: Clock) -> list[Worker]:
    """Return what signs the audit trail, watches over it, and lets go what is older than it is kept."""
    return [
        Worker("audit checkpoints", trail.checkpoint, clock=clock, every=every),
        Worker("audit watch", watch.look, clock=clock, every=WATCH_EVERY),
        Worker("audit retention", trail.let_go, clock=clock, every=LET_GO_EVERY),
    ]


def subscription_lanes(handing_over: HandingOver, *, parallel: int, clock: Clock) -> Lanes[Claimed]:
    """Return what serves subscriptions, so many at a time."""
    every = timedelta(seconds=0.5)
    return Lanes("subscriptions", handing_over, clock=clock, every=every, parallel=parallel)


def forgetting(logs: Logs, *, kept_for: timedelta, clock: Clock) -> Worker:
    """Return what lets go of events that were kept for long enough."""

    async def forget(now: datetime) -> bool:
        await logs.forget(before=now - kept_for)
        return False

    return Worker("kept events", forget, clock=clock, every=LET_GO_EVERY)
