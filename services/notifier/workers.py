"""What the notifier does by the clock: notice thresholds, pursue what nobody takes up, hand over what is due, look at tickets."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import anyio
import structlog
from anyio.abc import TaskGroup

from services.notifier.actions.deliveries import Deliveries, Job
from services.notifier.actions.digests import Digests
from services.notifier.actions.handing_over import Claimed, HandingOver
from services.notifier.actions.logs import Logs
from services.notifier.actions.pursuits import Pursuits
from services.notifier.actions.report_schedules import ReportSchedules
from services.notifier.actions.thresholds import Thresholds
from services.notifier.actions.tickets import Tickets
from services.notifier.actions.trail import Trail
from services.notifier.actions.trail_watch import TrailWatch
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


class Postman:
    """Sends due deliveries, up to `parallel` at a time through one channel; no channel waits for another."""

    def __init__(self, deliveries: Deliveries, *, clock: Clock, parallel: int, every: timedelta) -> None:
        self._deliveries = deliveries
        self._clock = clock
        self._parallel = parallel
        self._under_way: Counter[str] = Counter()
        self._worker = Worker("deliveries", self._step, clock=clock, every=every)
        self._tasks: TaskGroup

    async def run(self) -> None:
        """Work until cancelled."""
        await self._deliveries.recover()
        async with anyio.create_task_group() as self._tasks:
            await self._worker.run()

    async def _step(self, now: datetime) -> bool:
        busy = [channel for channel, count in self._under_way.items() if count >= self._parallel]
        job = await self._deliveries.claim(busy=busy, now=now)
        if job is None:
            return False
        self._under_way[job.channel.id] += 1
        self._tasks.start_soon(self._deliver, job)
        return True

    async def _deliver(self, job: Job) -> None:
        try:
            sent = await self._deliveries.send(job, now=self._clock())
            await self._deliveries.record(job, sent=sent, now=self._clock())
        except Exception as error:
            if not is_away(error):
                raise
            # The lease runs out, and it is sent again.
            log.warning("delivery.outcome_lost", delivery=job.delivery_id, error=str(error))
        finally:
            self._under_way[job.channel.id] -= 1
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
