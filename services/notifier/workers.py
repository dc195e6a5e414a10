"""What the notifier does by the clock: hand over what is due, each channel at its own pace."""

from collections import Counter
from datetime import datetime, timedelta

import anyio
import structlog
from anyio.abc import TaskGroup

from services.notifier.actions.deliveries import Deliveries, Job
from shared.clock import Clock
from shared.service import Worker
from shared.store import is_away

log = structlog.get_logger(__name__)


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
