"""What renewal does by the clock: takes up due orders, several at a time, and looks for keys to delete."""

from datetime import datetime, timedelta

import anyio
import anyio.abc

from services.renewal.actions.work import Claim, Work
from shared.clock import Clock
from shared.service import Worker

EVERY = timedelta(seconds=1)
DELETE_EVERY = timedelta(minutes=10)


class Lanes:
    """Works on up to `parallel` orders at once; a slow one takes one lane, never all."""

    def __init__(self, work: Work, *, clock: Clock, parallel: int) -> None:
        self._work = work
        self._free = parallel
        self._worker = Worker("orders", self._start_one, clock=clock, every=EVERY)
        self._tasks: anyio.abc.TaskGroup

    def ring(self) -> None:
        """Wake up: something may be due."""
        self._worker.ring()

    async def run(self) -> None:
        """Work until cancelled."""
        async with anyio.create_task_group() as self._tasks:
            await self._worker.run()

    async def _start_one(self, now: datetime) -> bool:
        if self._free == 0:
            return False
        claim = await self._work.claim(now=now)
        if claim is None:
            return False
        self._free -= 1
        self._tasks.start_soon(self._one, claim)
        return True

    async def _one(self, claim: Claim) -> None:
        try:
            await self._work.run(claim)
        finally:
            self._free += 1
            self.ring()
