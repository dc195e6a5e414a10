"""A scan's events from RabbitMQ to PostgreSQL, beside COPY with a merge of the same rows, and a consumer of one row at a time.

What is timed begins with the connection to the queue and ends with the last commit; each contestant is a process of its own.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from bench.ingest import bare, looks
from bench.ingest.certificates import Authority, now
from bench.ingest.servers import Servers, running
from bench.rows import SUBJECT, Contestant, Row, Sample, Scenario
from services.inventory.store.tables import Certificate, Sighting
from shared.bus import Message
from tests.servers.postgres import OwnDatabase

MANY, CHANGED, FEW = 10_000, 3_000, 1_000
"""Endpoints: of a scan, of one where all certificates are other ones, and for the consumer of one row at a time."""
COPY, ORM = "COPY and merge", "row by row, ORM"


def _wall_each(sample: Sample) -> float:
    return sample.usage.wall / sample.asked * 1000


def _row(name: str, scenario: str, *, goal: float, baseline: str = COPY) -> Row:
    return Row(name=name, scenario=scenario, unit="ms each", figure=_wall_each, goal=goal, baseline=baseline)


ROWS = (
    _row("ingest.bus_to_row", "new", goal=1 / 0.3),
    _row("ingest.bus_to_row_orm", "new", goal=1 / 15, baseline=ORM),
    _row("ingest.unchanged", "unchanged", goal=1),
    _row("ingest.changed", "changed", goal=1 / 0.1),
)


@dataclass(frozen=True, kw_only=True)
class IngestSuite:
    """Rows `ingest.*`."""

    rows: tuple[Row, ...] = ROWS

    @contextmanager
    def stage(self, name: str, *, folder: Path, scale: float) -> Iterator[Scenario]:  # noqa: ARG002 - PostgreSQL has a folder of its own
        """Start the servers, and take in what is to be known already; raises NotMeasured where there are none."""
        with running() as servers:
            yield _SCENARIOS[name](servers, scale)


class _Looks:
    """Endpoints, and what a look at all of them finds."""

    def __init__(self, servers: Servers, *, count: int) -> None:
        self._servers = servers
        self._began = now()
        self._looks = 0
        self._authority = Authority(servers.folder / "certificates", now=self._began)
        self.count = count

    def messages(self, *, generation: int = 0, count: int | None = None) -> list[Message]:
        """Return the events of another look."""
        return looks.messages(self._leaves(generation)[:count], self._authority.der, at=self._next())

    def rows(self, *, generation: int = 0) -> Path:
        """Return a file with the rows of another look."""
        leaves, at = self._leaves(generation), self._next()
        path = self._servers.folder / "rows"
        bare.write(path, looks.rows(leaves, self._authority.der, now=at))
        return path

    def _leaves(self, generation: int) -> list[bytes]:
        return self._authority.leaves(self.count, generation=generation)

    def _next(self) -> datetime:
        self._looks += 1
        return self._began + self._looks * timedelta(minutes=1)


def _new(servers: Servers, scale: float) -> Scenario:
    many = _Looks(servers, count=max(200, round(MANY * scale)))
    few = max(100, round(FEW * scale))

    def ours() -> Sample:
        made = servers.database()
        return _checked(servers, made, _take_in(servers, made, many.messages()), certificates=many.count)

    def copied() -> Sample:
        return servers.run("bench.ingest.bare", servers.database().url, many.rows(), count=many.count)

    def row_by_row() -> Sample:
        bus, made = servers.queue(many.messages(count=few)), servers.database()
        return servers.run("bench.ingest.row_by_row", bus, made.url, few, count=few)

    contestants = (
        Contestant(name=SUBJECT, run=ours),
        Contestant(name=COPY, run=copied),
        Contestant(name=ORM, run=row_by_row),
    )
    return Scenario(
        name="new", title=f"A first scan: {many.count:,} new certificates", contestants=contestants
    )


def _unchanged(servers: Servers, scale: float) -> Scenario:
    many = _Looks(servers, count=max(200, round(MANY * scale)))
    made = _known(servers, many)

    def ours() -> Sample:
        return _checked(servers, made, _take_in(servers, made, many.messages()), certificates=many.count)

    title = f"{many.count:,} endpoints seen again, nothing new"
    return Scenario(name="unchanged", title=title, contestants=_pair(servers, made, many, ours))


def _changed(servers: Servers, scale: float) -> Scenario:
    many = _Looks(servers, count=max(200, round(CHANGED * scale)))
    made = _known(servers, many)
    generations = [0, 0]

    def ours() -> Sample:
        generations[0] += 1
        sample = _take_in(servers, made, many.messages(generation=generations[0]))
        return _checked(servers, made, sample, certificates=(generations[0] + 1) * many.count)

    def copied() -> Sample:
        generations[1] += 1
        rows = many.rows(generation=generations[1])
        return servers.run("bench.ingest.bare", made.url, rows, count=many.count)

    title = f"{many.count:,} endpoints that serve a newer certificate"
    contestants = (Contestant(name=SUBJECT, run=ours), Contestant(name=COPY, run=copied))
    return Scenario(name="changed", title=title, contestants=contestants)


_SCENARIOS: dict[str, Callable[[Servers, float], Scenario]] = {
    "new": _new,
    "unchanged": _unchanged,
    "changed": _changed,
}


def _known(servers: Servers, many: _Looks) -> OwnDatabase:
    """Return an inventory, and tables of the baseline, that know what a first look finds."""
    made = servers.database()
    _take_in(servers, made, many.messages())
    servers.run("bench.ingest.bare", made.url, many.rows(), count=many.count)
    servers.postgres.sql("VACUUM ANALYZE", database=made.name)
    return made


def _pair(
    servers: Servers, made: OwnDatabase, many: _Looks, ours: Callable[[], Sample]
) -> tuple[Contestant, ...]:
    def copied() -> Sample:
        return servers.run("bench.ingest.bare", made.url, many.rows(), count=many.count)

    return (Contestant(name=SUBJECT, run=ours), Contestant(name=COPY, run=copied))


def _take_in(servers: Servers, made: OwnDatabase, looked: list[Message]) -> Sample:
    bus = servers.queue(looked)
    return servers.run("bench.ingest.worker", bus, made.url, len(looked), count=len(looked))


def _checked(servers: Servers, made: OwnDatabase, sample: Sample, *, certificates: int) -> Sample:
    """Return the sample, with what is missing in the inventory."""
    wanted = {Certificate.__tablename__: certificates, Sighting.__tablename__: sample.asked}
    faults = []
    for table, count in wanted.items():
        there = int(servers.postgres.sql(f"SELECT count(*) FROM {table}", database=made.name))
        if there != count:
            faults.append(f"{there:,} of {count:,} {table}")
    return replace(sample, faults=tuple(faults))
