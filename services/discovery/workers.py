"""What discovery does by the clock: works off scans, several at a time, and looks again at watched places."""

from datetime import datetime, timedelta

import anyio
import anyio.abc

from services.discovery.actions.runs import Claim, Runs
from services.discovery.actions.watches import Watches
from shared.clock import Clock
from shared.service import Worker

EVERY = timedelta(seconds=1)
WATCH_EVERY = timedelta(milliseconds=500)
UPKEEP = timedelta(hours=1)


class Lanes:
    """Works on up to `parallel` scans at once: a small one does not wait for a large one."""

    def __init__(self, runs: Runs, *, clock: Clock, parallel: int) -> None:
        self._runs = runs
        self._free = parallel
        self._worker = Worker("scans", self._start_one, clock=clock, every=EVERY)
        self._tasks: anyio.abc.TaskGroup

    def ring(self) -> None:
        """Wake up: there is a scan."""
        self._worker.ring()

    async def run(self) -> None:
        """Work until cancelled."""
        async with anyio.create_task_group() as self._tasks:
            await self._worker.run()

    async def _start_one(self, now: datetime) -> bool:
        if self._free == 0:
            return False
        claim = await self._runs.claim(now=now)
        if claim is None:
            return False
        self._free -= 1
        self._tasks.start_soon(self._one, claim)
        return True

    async def _one(self, claim: Claim) -> None:
        try:
            await self._runs.run(claim)
        finally:
            self._free += 1
            self.ring()


def watching(watches: Watches, *, clock: Clock) -> Worker:
    """Return the worker that looks again at watched places."""
    return Worker("watches", watches.work, clock=clock, every=WATCH_EVERY)


def upkeep(runs: Runs, *, clock: Clock) -> Worker:
    """Return the worker that forgets what is old."""

    async def forget(now: datetime) -> bool:
        await runs.forget_results(now=now)
        return False

    return Worker("upkeep", forget, clock=clock, every=UPKEEP)
