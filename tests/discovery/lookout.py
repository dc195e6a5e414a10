"""Discovery's actions over a database of their own; `python -m tests.discovery.lookout URL` works scans off."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta

from services.discovery.actions.planning import Planning
from services.discovery.actions.plans import Bounds
from services.discovery.actions.runs import Runs
from services.discovery.actions.scans import NewScan, Scans
from services.discovery.actions.work import ScanWork
from services.discovery.connectors.network import Network
from shared.access import Principal
from shared.clock import utc_now
from shared.store import Database

CALLER = Principal(id="tester", name="tester")
LEASE = timedelta(seconds=60)


def bounds() -> Bounds:
    """Return what the tests' operator allows."""
    return Bounds(
        allow=[],
        deny=[],
        max_targets=10_000,
        names_per_address=50,
        misses_until_lost=3,
        lease=LEASE,
        keep_results=timedelta(days=30),
    )


def scans_on(database: Database) -> Scans:
    """Return what callers do with scans."""
    return Scans(database, bounds=bounds(), ring=lambda: None)


def runs_on(database: Database) -> Runs:
    """Return the work on scans, with the real source."""
    return Runs(database, bounds=bounds(), open_prober=Network, clock=utc_now)


def new(*targets: str, ports: str = "443", exclude: Sequence[str] = ()) -> NewScan:
    """Return what a caller asks for."""
    return NewScan(targets=targets, ports=ports, exclude=exclude, server_names=[], timeout=1, concurrency=50)


def work_on(database: Database, runs: Runs | None = None) -> ScanWork:
    """Return all that is to be done for scans."""
    return ScanWork(Planning(database, bounds=bounds(), clock=utc_now), runs or runs_on(database))


async def work_off(database: Database, runs: Runs | None = None, *, at: datetime | None = None) -> bool:
    """Do what is due for scans until nothing is; return whether there was anything."""
    work = work_on(database, runs)
    found_some = False
    while (claim := await work.claim(now=at or utc_now())) is not None:
        found_some = True
        await work.run(claim)
    return found_some


async def main(url: str) -> None:
    """Do what is due for scans, as a replica would."""
    database = Database(url, source="discovery")
    await work_off(database)
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
