"""What discovery does by the clock: works off scans, and looks again at watched places."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from shared.clock import Clock
from shared.service import Worker

Step = Callable[[datetime], Awaitable[bool]]


class Workers:
    """The two workers; made before the actions they run, so that actions can ring them."""

    def __init__(self, clock: Clock) -> None:
        self._scan: Step = _nothing
        self._watch: Step = _nothing
        self.scanning = Worker("scans", self._scan_step, clock=clock, every=timedelta(seconds=2))
        self.watching = Worker("watches", self._watch_step, clock=clock, every=timedelta(milliseconds=500))

    def do(self, *, scan: Step, watch: Step) -> None:
        """Say what they do."""
        self._scan, self._watch = scan, watch

    async def _scan_step(self, now: datetime) -> bool:
        return await self._scan(now)

    async def _watch_step(self, now: datetime) -> bool:
        return await self._watch(now)


async def _nothing(_now: datetime) -> bool:
    return False
