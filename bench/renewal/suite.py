"""Finding which of very many lineages are due: it must not feel how many are not."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from bench.measure import NotMeasured, Usage
from bench.rows import SUBJECT, Contestant, Row, Sample, Scenario
from services.renewal import store
from services.renewal.actions.schedules import BATCH
from services.renewal.service import SCHEMA
from shared.clock import utc_now
from shared.store import Database
from tests.servers.postgres import Postgres
from tests.servers.processes import MissingServer

LINEAGES = 1_000_000
SELECTS = 50
"""In one round."""
LIMIT_MS = 50.0
_FILL = """
INSERT INTO schedules (lineage_id, fingerprint, renew_at, reason, not_before, not_after, ari_failures, is_to_be_timed,
                       ordered_at, updated_at)
SELECT 'lineage-' || n, lpad(to_hex(n), 64, '0'), :now + (n - :due) * interval '1 minute', 'fraction',
       :now - interval '60 days', :now + interval '30 days', 0, false,
       CASE WHEN n % 10 = 0 THEN :now END, :now
FROM generate_series(1, :count) AS n
"""
"""A thousand in a million are due, and one in ten is ordered already."""


def _milliseconds(sample: Sample) -> float:
    return sample.usage.wall / sample.asked * 1000


ROWS = (
    Row(
        name="renewal.due",
        scenario="due",
        unit="ms",
        figure=_milliseconds,
        goal=1,
        baseline=f"{LIMIT_MS:.0f} ms",
        fixed=LIMIT_MS,
    ),
)


@dataclass(frozen=True, kw_only=True)
class RenewalSuite:
    """Rows `renewal.*`."""

    rows: tuple[Row, ...] = ROWS

    @contextmanager
    def stage(self, name: str, *, folder: Path, scale: float) -> Iterator[Scenario]:  # noqa: ARG002 - PostgreSQL has a folder of its own
        """Fill the schedules; raises NotMeasured where there is no PostgreSQL."""
        count = max(10_000, round(LINEAGES * scale))
        own = Path(tempfile.mkdtemp(prefix="everleaf-bench-"))
        own.chmod(0o755)
        try:
            postgres = Postgres(own / "cluster")
        except MissingServer as error:
            raise NotMeasured(str(error)) from error
        try:
            postgres.create()
            postgres.start()
            due = asyncio.run(_filled(postgres, count=count))
            title = f"{count:,} enrolled lineages in PostgreSQL, {BATCH} due ones at a time"
            yield Scenario(name=name, title=title, contestants=(Contestant(name=SUBJECT, run=due.run),))
        finally:
            postgres.stop()
            shutil.rmtree(own)


async def _filled(postgres: Postgres, *, count: int) -> "_Due":
    url, now = postgres.database("due").url, utc_now()
    database = Database(url, source="renewal")
    await SCHEMA.upgrade(database)
    async with database.transaction() as tx:
        fill = sa.text(_FILL).bindparams(sa.bindparam("now", type_=sa.DateTime(timezone=True)))
        await tx.session.execute(fill, {"now": now, "count": count, "due": count // 1000})
        await tx.session.execute(sa.text("ANALYZE schedules"))
    await database.close()
    return _Due(url=url, now=now)


@dataclass(frozen=True, kw_only=True)
class _Due:
    """One estate, and the instant at which a thousandth of it is due."""

    url: str
    now: datetime

    def run(self) -> Sample:
        """Select what is due, again and again, as the worker does before it orders."""
        return asyncio.run(self._select())

    async def _select(self) -> Sample:
        database = Database(self.url, source="renewal")
        found, faults = 0, []
        try:
            await database.ready()  # the connection is there before a worker's every look
            began, cpu = time.monotonic(), time.process_time()
            for _ in range(SELECTS):
                async with database.transaction() as tx:
                    rows = await store.due_schedules(tx, now=self.now, limit=BATCH)
                    found += len(rows)
                    if any(row.ordered_at is not None or row.renew_at > self.now for row in rows):
                        faults.append("selected what is not due")
        finally:
            await database.close()
        usage = Usage(
            wall=time.monotonic() - began,
            cpu=time.process_time() - cpu,
            peak_mib=0,
            exit_code=0,
            said="",
        )
        return Sample(usage=usage, asked=SELECTS, found=found, faults=tuple(faults))
