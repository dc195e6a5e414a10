"""What discovery does by the clock: works off scans, looks again at watched places, and reads on in logs."""

from datetime import datetime, timedelta

from services.discovery.actions.log_reads import LogClaim, LogReads
from services.discovery.actions.planning import PlanClaim
from services.discovery.actions.runs import Claim, Runs
from services.discovery.actions.schedules import Schedules
from services.discovery.actions.source_runs import SourceClaim, SourceRuns
from services.discovery.actions.source_watches import SourceWatches, WatchClaim
from services.discovery.actions.watches import Watches
from services.discovery.actions.work import ScanWork
from shared.clock import Clock
from shared.service import Lanes, Worker

EVERY = timedelta(seconds=1)
WATCH_EVERY = timedelta(milliseconds=500)
LOGS_EVERY = timedelta(seconds=1)
LOGS_AT_ONCE = 4
UPKEEP = timedelta(hours=1)


def scans(work: ScanWork, *, clock: Clock, parallel: int) -> Lanes[PlanClaim | Claim]:
    """Return the lanes that take up what is due of scans."""
    return Lanes("scans", work, clock=clock, every=EVERY, parallel=parallel)


def sources(runs: SourceRuns, *, clock: Clock, parallel: int) -> Lanes[SourceClaim]:
    """Return the lanes that read sources."""
    return Lanes("sources", runs, clock=clock, every=EVERY, parallel=parallel)


def source_watches(watches: SourceWatches, *, clock: Clock, parallel: int) -> Lanes[WatchClaim]:
    """Return the lanes that listen to sources."""
    return Lanes("source-watches", watches, clock=clock, every=EVERY, parallel=parallel)


def watching(watches: Watches, *, clock: Clock) -> Worker:
    """Return the worker that looks again at watched places."""
    return Worker("watches", watches.work, clock=clock, every=WATCH_EVERY)


def ct_logs(reads: LogReads, *, clock: Clock) -> Lanes[LogClaim]:
    """Return the lanes that read on in Certificate Transparency logs."""
    return Lanes("ct-logs", reads, clock=clock, every=LOGS_EVERY, parallel=LOGS_AT_ONCE)


def schedules(schedules: Schedules, *, clock: Clock) -> Worker:
    """Return the worker that starts scans when they are due, and lets them rest in quiet hours."""

    async def step(now: datetime) -> bool:
        await schedules.rest(now)
        return await schedules.start_due(now)

    return Worker("schedules", step, clock=clock, every=EVERY)


def upkeep(runs: Runs, *, clock: Clock) -> Worker:
    """Return the worker that forgets what is old."""

    async def forget(now: datetime) -> bool:
        await runs.forget_results(now=now)
        return False

    return Worker("upkeep", forget, clock=clock, every=UPKEEP)
