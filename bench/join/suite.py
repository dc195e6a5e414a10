"""What events cost in a large inventory beside what they cost in a small one: the join must not feel its size."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bench.join import estate
from bench.measure import NotMeasured, Usage
from bench.rows import SUBJECT, Contestant, Row, Sample, Scenario
from services.inventory.actions.comparisons import Comparisons
from services.inventory.service import SCHEMA
from services.inventory.store import places
from services.inventory.store.holdings import Before
from shared.clock import utc_now
from shared.events import Event
from shared.events.discovery import Place, SourceRead
from shared.store import Database, Transaction
from tests.servers.postgres import Postgres
from tests.servers.processes import MissingServer

HOSTS, SMALL = 50_000, 1_000
"""Of six places each."""
EVENTS = 200
"""Of each kind in one round, and one run of many hosts."""
BASELINE = f"{SMALL * 6:,} places"


def _wall_per_event(sample: Sample) -> float:
    return sample.usage.wall / sample.asked * 1000


ROWS = (
    Row(
        name="join.scale",
        scenario="join",
        unit="ms/event",
        figure=_wall_per_event,
        goal=1.5,
        baseline=BASELINE,
    ),
)


@dataclass(frozen=True, kw_only=True)
class JoinSuite:
    """Rows `join.*`."""

    rows: tuple[Row, ...] = ROWS

    @contextmanager
    def stage(self, name: str, *, folder: Path, scale: float) -> Iterator[Scenario]:  # noqa: ARG002 - PostgreSQL has a folder of its own
        """Fill two inventories; raises NotMeasured where there is no PostgreSQL."""
        hosts = max(2 * SMALL, round(HOSTS * scale))
        own = Path(tempfile.mkdtemp(prefix="everleaf-bench-"))
        own.chmod(0o755)
        try:
            postgres = Postgres(own / "cluster")
        except MissingServer as error:
            raise NotMeasured(str(error)) from error
        try:
            postgres.create()
            postgres.start()
            large, small = (asyncio.run(_filled(postgres, hosts=each)) for each in (hosts, SMALL))
            contestants = (
                Contestant(name=SUBJECT, run=large.run),
                Contestant(name=BASELINE, run=small.run),
            )
            yield Scenario(
                name=name, title=f"{hosts * 6:,} places, events of every kind", contestants=contestants
            )
        finally:
            postgres.stop()
            shutil.rmtree(own)


async def _filled(postgres: Postgres, *, hosts: int) -> "_Inventory":
    url, at = postgres.database("join").url, utc_now()
    database = Database(url, source="inventory")
    await SCHEMA.upgrade(database)
    await estate.fill(database, hosts=hosts, at=at)
    await database.close()
    return _Inventory(url, hosts=hosts, at=at)


class _Inventory:
    """One inventory, and events about its hosts, other ones in each round."""

    def __init__(self, url: str, *, hosts: int, at: datetime) -> None:
        self._url = url
        self._hosts = hosts
        self._at = at
        self._round = 0
        self._comparisons = Comparisons()

    def run(self) -> Sample:
        """Take in the events of one round."""
        self._round += 1
        began, cpu = time.monotonic(), time.process_time()
        count = asyncio.run(self._take_in())
        usage = Usage(
            wall=time.monotonic() - began,
            cpu=time.process_time() - cpu,
            peak_mib=0,
            exit_code=0,
            said="",
        )
        return Sample(usage=usage, asked=count, found=count)

    async def _take_in(self) -> int:
        database = Database(self._url, source="inventory")
        kinds: tuple[Callable[[Transaction, int], Awaitable[None]], ...] = (self._endpoint, self._store)
        try:
            for each in kinds:
                for number in range(EVENTS):
                    async with database.transaction() as tx:
                        await each(tx, (self._round * EVENTS + number) * 7 % self._hosts)
            async with database.transaction() as tx:
                await self._read(tx, (self._round - 1) % (self._hosts // estate.HOSTS_PER_RUN))
        finally:
            await database.close()
        return len(kinds) * EVENTS + 1

    async def _endpoint(self, tx: Transaction, host: int) -> None:
        place = Place(address=estate.address(host), port=443, server_name=estate.name(host, host % 4))
        was = estate.fingerprint(host)
        await self._comparisons.endpoint_changed(tx, place, was=was, now=self._at)

    async def _store(self, tx: Transaction, host: int) -> None:
        place = Place(kind="store", address=estate.address(host), path="/etc/tls/1.pem")
        before = Before(fingerprint=estate.fingerprint(host), is_named=True)
        await self._comparisons.store_changed(
            tx, places.place_id(place.key), before=before, at=self._at, now=self._at
        )

    async def _read(self, tx: Transaction, run: int) -> None:
        read = SourceRead(
            source_id=f"source-{run}",
            run_id=f"run-{run}",
            is_complete=True,
            started_at=self._at,
            finished_at=self._at,
        )
        event = Event.of(read, source="discovery", now=self._at)
        await self._comparisons.source_read(tx, event, now=self._at)
