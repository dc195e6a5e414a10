"""A thousand hosts as one job: by two replicas of discovery and by one, and by a bare script."""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.measure import NotMeasured, measure, measure_together
from bench.rows import SUBJECT, Contestant, Row, Sample, Scenario
from bench.sources.replica import accesses
from services.discovery.actions.source_groups import Group, Member, SourceGroups
from services.discovery.service import SCHEMA
from shared.access import Principal
from shared.clock import utc_now
from shared.store import Database
from tests.servers.postgres import Postgres
from tests.servers.processes import MissingServer

HOSTS = 1_000
LIMIT = timedelta(minutes=10)
BARE, ONE = "bare asyncssh", "everleaf, one replica"
_CALLER = Principal(id="bench", name="bench", roles=frozenset({"admin"}))


def _cpu(sample: Sample) -> float:
    return sample.cpu_per_thousand


def _wall(sample: Sample) -> float:
    return sample.usage.wall


ROWS = (
    Row(
        name="sources.hosts",
        scenario="hosts",
        unit="CPU s/1,000",
        figure=_cpu,
        goal=4.0,
        baseline=BARE,
    ),
    Row(name="sources.hosts_wall", scenario="hosts", unit="s", figure=_wall, goal=3.0, baseline=BARE),
    # Not a half: the hosts are on the same cores.
    Row(name="sources.hosts_replicas", scenario="hosts", unit="s", figure=_wall, goal=0.9, baseline=ONE),
)


@dataclass(frozen=True, kw_only=True)
class SourceSuite:
    """Rows `sources.*`."""

    rows: tuple[Row, ...] = ROWS

    @contextmanager
    def stage(self, name: str, *, folder: Path, scale: float) -> Iterator[Scenario]:
        """Start the hosts, and a PostgreSQL; raises NotMeasured where one cannot be started."""
        count = max(20, round(HOSTS * scale))
        folder.mkdir(parents=True, exist_ok=True)
        with _cluster() as postgres, _fleet(count, folder=folder) as group:
            bout = Bout(postgres=postgres, folder=folder, group=group)
            contestants = (
                Contestant(name=SUBJECT, run=bout.by_replicas(2)),
                Contestant(name=ONE, run=bout.by_replicas(1)),
                Contestant(name=BARE, run=bout.bare),
            )
            title = f"{count:,} hosts over SSH as one job, results in PostgreSQL"
            yield Scenario(name=name, title=title, contestants=contestants)


@dataclass(frozen=True, kw_only=True)
class Bout:
    """The contestants of one fleet."""

    postgres: Postgres
    folder: Path
    group: Path

    def bare(self) -> Sample:
        """Let the script read the hosts."""
        usage = measure(
            [sys.executable, "-m", "bench.sources.bare", str(self.group)], folder=self.folder, limit=LIMIT
        )
        count = len(self._told["sources"])
        if usage.exit_code or int(usage.said or 0) != count:
            raise NotMeasured(f"the script ended with {usage.exit_code}: {usage.said[-200:]}")
        return Sample(usage=usage, asked=count, found=count)

    def by_replicas(self, replicas: int) -> Callable[[], Sample]:
        """Return what lets so many processes of discovery read the hosts."""
        return lambda: asyncio.run(self._read(replicas))

    @property
    def _told(self) -> Mapping[str, Any]:
        told: Mapping[str, Any] = json.loads(self.group.read_text())
        return told

    async def _read(self, replicas: int) -> Sample:
        url, told = self.postgres.database("sources").url, self._told
        database = Database(url, source="discovery")
        try:
            await SCHEMA.upgrade(database)
            groups = SourceGroups(database, accesses(database), ring=lambda: None)
            members = [Member(name=each["name"], settings=each["settings"]) for each in told["sources"]]
            group = Group(
                name="fleet",
                kind=told["kind"],
                settings=told["settings"],
                credential=told["credential"],
                every=None,
                members=members,
            )
            await groups.write(group, caller=_CALLER, now=utc_now())
            job = (await groups.run("fleet", caller=_CALLER, now=utc_now())).id
            command = [sys.executable, "-m", "bench.sources.replica", url]
            usage = await asyncio.to_thread(measure_together, [command] * replicas, limit=LIMIT)
            counts = (await groups.job(job, caller=_CALLER)).counts
        finally:
            await database.close()
        if not counts.finished:
            raise NotMeasured(
                f"no host was read: {counts.waiting:,} did not answer, {counts.failed:,} failed"
            )
        faults = () if counts.finished == len(members) else (f"{counts.finished:,} of {len(members):,} read",)
        return Sample(usage=usage, asked=len(members), found=counts.holdings, faults=faults)


@contextmanager
def _cluster() -> Iterator[Postgres]:
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
        yield postgres
    finally:
        postgres.stop()
        shutil.rmtree(folder)


@contextmanager
def _fleet(count: int, *, folder: Path) -> Iterator[Path]:
    group = folder / "group.json"
    group.unlink(missing_ok=True)
    fleet = subprocess.Popen([sys.executable, "-m", "bench.sources.fleet", str(count), str(group)])
    try:
        deadline = time.monotonic() + LIMIT.total_seconds()
        while not group.exists():
            if fleet.poll() is not None or time.monotonic() > deadline:
                raise NotMeasured("the hosts did not start")
            time.sleep(0.05)
        yield group
    finally:
        fleet.terminate()
        fleet.wait()
