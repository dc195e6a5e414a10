"""One scan of the platform's, shared by one process of discovery and by two, over one PostgreSQL."""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from bench.measure import NotMeasured, measure_together
from bench.rows import SUBJECT, Contestant, Sample, Scenario
from bench.scan import plan
from services.discovery.actions.scans import Scans
from services.discovery.service import SCHEMA
from shared.clock import utc_now
from shared.store import Database
from tests.discovery.lookout import CALLER, bounds, new
from tests.servers.postgres import Postgres
from tests.servers.processes import MissingServer

SHARED = "127.65.0.0/17"
PLACES = 1 << 15
ONE = "everleaf, one replica"
LIMIT = timedelta(minutes=5)
_REPLICA = [sys.executable, "-m", "tests.discovery.lookout"]


@contextmanager
def sharing() -> Iterator[Scenario]:
    """Start a PostgreSQL; raises NotMeasured where it is not installed."""
    # Not below the bench's folder: PostgreSQL runs as an account of its own, which could not get there.
    folder = Path(tempfile.mkdtemp(prefix="everleaf-bench-"))
    folder.chmod(0o755)
    try:
        postgres = Postgres(folder / "cluster")
    except MissingServer as error:
        raise NotMeasured(str(error)) from error
    try:
        postgres.create()
        postgres.start()
        contestants = (
            Contestant(name=SUBJECT, run=_run(postgres, replicas=2)),
            Contestant(name=ONE, run=_run(postgres, replicas=1)),
        )
        title = f"{SHARED} by the platform, all refuse, results in PostgreSQL, {os.cpu_count()} cores"
        yield Scenario(name="replicas", title=title, contestants=contestants)
    finally:
        postgres.stop()
        shutil.rmtree(folder)


def _run(postgres: Postgres, *, replicas: int) -> Callable[[], Sample]:
    def run() -> Sample:
        return asyncio.run(_share(postgres.database("replicas").url, replicas=replicas))

    return run


async def _share(url: str, *, replicas: int) -> Sample:
    database = Database(url, source="discovery")
    try:
        await SCHEMA.upgrade(database)
        scans = Scans(database, bounds=replace(bounds(), max_targets=PLACES), ring=lambda: None)
        asked = replace(new(SHARED, ports=str(plan.PORT)), concurrency=1000)
        scan = await scans.create(asked, caller=CALLER, now=utc_now())
        commands = [[*_REPLICA, url] for _ in range(replicas)]
        usage = await asyncio.to_thread(measure_together, commands, limit=LIMIT)
        counts = (await scans.get(scan.id, caller=CALLER)).counts
    finally:
        await database.close()
    faults = () if counts["asked"] == PLACES else (f"{counts['asked']:,} of {PLACES:,} were looked at",)
    return Sample(usage=usage, asked=PLACES, found=0, faults=faults)
