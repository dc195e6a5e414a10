"""What discovery does by the clock: works off scans, several at a time, and looks again at watched places."""

from datetime import datetime, timedelta

from services.discovery.actions.runs import Claim, Runs
from services.discovery.actions.watches import Watches
from shared.clock import Clock
from shared.service import Lanes, Worker

EVERY = timedelta(seconds=1)
WATCH_EVERY = timedelta(milliseconds=500)
UPKEEP = timedelta(hours=1)


def scans(runs: Runs, *, clock: Clock, parallel: int) -> Lanes[Claim]:
    """Return the lanes that take up due scans."""
    return Lanes("scans", runs, clock=clock, every=EVERY, parallel=parallel)


def watching(watches: Watches, *, clock: Clock) -> Worker:
    """Return the worker that looks again at watched places."""
    return Worker("watches", watches.work, clock=clock, every=WATCH_EVERY)


def upkeep(runs: Runs, *, clock: Clock) -> Worker:
    """Return the worker that forgets what is old."""

    async def forget(now: datetime) -> bool:
        await runs.forget_results(now=now)
        return False

    return Worker("upkeep", forget, clock=clock, every=UPKEEP)
