"""The way of an event from the outbox to its effect, on both transports: how many a second, how late, and how that grows."""

import asyncio
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.events.pulse import NAME, effects, prepare
from bench.ingest.servers import Servers, ran, running
from bench.rows import SUBJECT, Contestant, Row, Sample, Scenario

COUNT = 20_000
TENTH = 5_000
"""Of what is handled where the growth is looked at."""
RATE = 200
"""Transactions a second, where it is looked at how late events are."""
SECONDS = 15
AIO_PIKA, SQLITE, ALONE, A_TENTH = "aio-pika", "executemany", "everleaf, one by one", "a tenth of the events"


def _wall_each(sample: Sample) -> float:
    return sample.usage.wall / sample.asked * 1000


def _late(part: str) -> Callable[[Sample], float]:
    return lambda sample: float(json.loads(sample.usage.said.strip().splitlines()[-1])[part])


def _cpu(sample: Sample) -> float:
    return sample.cpu_per_thousand + sample.server_cpu_per_thousand


def _growth(name: str, scenario: str) -> Row:
    unit = "CPU s/1,000, servers too"
    return Row(name=name, scenario=scenario, unit=unit, figure=_cpu, goal=1.2, baseline=A_TENTH)


def _each(name: str, scenario: str, *, goal: float, baseline: str) -> Row:
    return Row(name=name, scenario=scenario, unit="ms each", figure=_wall_each, goal=goal, baseline=baseline)


def _latency(name: str, scenario: str, part: str, *, limit: float) -> Row:
    figure, baseline = _late(part), f"{limit:g} ms"
    return Row(name=name, scenario=scenario, unit="ms", figure=figure, goal=1, baseline=baseline, fixed=limit)


ROWS = (
    _each("events.rabbitmq", "rabbitmq", goal=1, baseline=AIO_PIKA),
    Row(
        name="events.rabbitmq_cpu",
        scenario="rabbitmq",
        unit="CPU s/1,000",
        figure=lambda sample: sample.cpu_per_thousand,
        goal=1,
        baseline=AIO_PIKA,
    ),
    _growth("events.rabbitmq_growth", "rabbitmq_growth"),
    _each("events.embedded", "embedded", goal=1 / 0.3, baseline=SQLITE),
    _growth("events.embedded_growth", "embedded_growth"),
    _latency("events.latency_p50", "latency", "p50", limit=15),
    _latency("events.latency_p99", "latency", "p99", limit=60),
    _latency("events.latency_embedded_p50", "latency_embedded", "p50", limit=15),
    _latency("events.latency_embedded_p99", "latency_embedded", "p99", limit=60),
)


@dataclass(frozen=True, kw_only=True)
class EventSuite:
    """Rows `events.*`."""

    rows: tuple[Row, ...] = ROWS

    @contextmanager
    def stage(self, name: str, *, folder: Path, scale: float) -> Iterator[Scenario]:
        """Start the servers, where the scenario has any; raises NotMeasured where there are none."""
        open_place = _in_files(folder) if name in _EMBEDDED else _in_servers()
        with open_place as place:
            yield Scenario(
                name=name, title=_TITLES[name], contestants=(_EMBEDDED | _SERVED)[name](place, scale)
            )


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where databases and buses are made, and programs run."""

    run: Callable[..., Sample]
    make: Callable[[], tuple[str, str]]
    """Return the URLs of a new bus and a new database."""

    def ours(self, count: int, *told: str) -> Sample:
        """Take so many events from a new outbox to their effects."""
        bus, database = self.make()
        asyncio.run(prepare(database, bus, count=count))
        sample = self.run("bench.events.worker", bus, database, count, *told, count=count)
        there = asyncio.run(effects(database))
        return replace(sample, faults=() if there == count else (f"{there:,} of {count:,} effects",))

    def late(self, count: int) -> Sample:
        """Emit so many events, as many a second as is asked, and look when they are there."""
        bus, database = self.make()
        asyncio.run(prepare(database, bus, count=0))
        return self.run("bench.events.latency", bus, database, count, RATE, count=count)


@contextmanager
def _in_servers() -> Iterator[_Place]:
    with running() as servers:
        yield _Place(run=servers.run, make=lambda: _new(servers))


def _new(servers: Servers) -> tuple[str, str]:
    return servers.rabbitmq.vhost(NAME).url, servers.postgres.database(NAME).url


@contextmanager
def _in_files(folder: Path) -> Iterator[_Place]:
    with tempfile.TemporaryDirectory(dir=folder) as own:

        def make() -> tuple[str, str]:
            path = Path(tempfile.mkdtemp(dir=own))
            return str(path / "bus.db"), f"sqlite:///{path}/{NAME}.db"

        yield _Place(run=lambda module, *given, count: ran(Path(own), module, *given, count=count), make=make)


def _beside_aio_pika(place: _Place, scale: float) -> tuple[Contestant, ...]:
    count = max(500, round(COUNT * scale))

    def bare() -> Sample:
        return place.run("bench.events.bare_rabbitmq", place.make()[0], count, count=count)

    return (
        Contestant(name=SUBJECT, run=lambda: place.ours(count)),
        Contestant(name=AIO_PIKA, run=bare),
        Contestant(name=ALONE, run=lambda: place.ours(count, "alone"), at_most=1),
    )


def _beside_sqlite(place: _Place, scale: float) -> tuple[Contestant, ...]:
    count = max(500, round(COUNT * scale))

    def bare() -> Sample:
        path = Path(place.make()[0]).with_name("bare.db")
        return place.run("bench.events.bare_sqlite", path, count, count=count)

    return (
        Contestant(name=SUBJECT, run=lambda: place.ours(count)),
        Contestant(name=SQLITE, run=bare),
        Contestant(name=ALONE, run=lambda: place.ours(count, "alone"), at_most=1),
    )


def _growing(place: _Place, scale: float) -> tuple[Contestant, ...]:
    few = max(500, round(TENTH * scale))
    return (
        Contestant(name=SUBJECT, run=lambda: place.ours(10 * few)),
        Contestant(name=A_TENTH, run=lambda: place.ours(few)),
    )


def _being_late(place: _Place, scale: float) -> tuple[Contestant, ...]:
    count = max(RATE, round(RATE * SECONDS * scale))
    return (Contestant(name=SUBJECT, run=lambda: place.late(count)),)


_Contestants = Callable[[_Place, float], tuple[Contestant, ...]]
_SERVED: dict[str, _Contestants] = {
    "rabbitmq": _beside_aio_pika,
    "rabbitmq_growth": _growing,
    "latency": _being_late,
}
_EMBEDDED: dict[str, _Contestants] = {
    "embedded": _beside_sqlite,
    "embedded_growth": _growing,
    "latency_embedded": _being_late,
}
_TITLES = {
    "rabbitmq": "Outbox → RabbitMQ → inbox → effect in PostgreSQL",
    "rabbitmq_growth": "The same, and a tenth of it",
    "latency": f"Commit → handler at {RATE}/s, RabbitMQ and PostgreSQL",
    "embedded": "Outbox → embedded bus → inbox → effect in SQLite",
    "embedded_growth": "The same, and a tenth of it",
    "latency_embedded": f"Commit → handler at {RATE}/s, embedded",
}
