"""What Prometheus is told of the state of things: read from datastores and bus when it asks, some seconds apart at most.

Each service says in its `store/measured.py` what there is of its own (`Measured`); what every service has, outbox and queue, is
read here. Labels have values from the code only, so that their number is bounded; no reading walks over more than what is
open, late or kept as a count.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import anyio
import sqlalchemy as sa
import structlog
from prometheus_client import Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy.ext.asyncio import AsyncSession

from shared.bus import Bus
from shared.clock import Clock
from shared.errors import EverleafError
from shared.service import Service
from shared.store.measured import Family, Reading
from shared.store.plumbing import OUTBOX

log = structlog.get_logger(__name__)

OUTBOX_EVENTS = Family(
    "everleaf_outbox_events", "Events that are true and not on the bus yet; 10,000 is many.", ("service",)
)
OUTBOX_AGE = Family("everleaf_outbox_oldest_seconds", "How long the oldest of them has waited.", ("service",))
QUEUE = Family(
    "everleaf_queue_messages",
    "Events in a service's queue: waiting for a first try, retrying after a failed one, or dead: given up.",
    ("queue", "state"),
)
READY = Family("everleaf_ready", "Whether a part of this process answers: 1 or 0.", ("part",))
UNKNOWN = Family(
    "everleaf_measures_failed",
    "Whether the state of a service could not be read just now: 1 or 0.",
    ("service",),
)
FRESH = timedelta(seconds=10)
"""For how long a reading is given again, so that who asks all the time costs no more."""
_PATIENCE = 5.0
"""Seconds that one service's reading may take."""
_MANY = 10_000


class Measures:
    """All readings of one process."""

    def __init__(self, services: Sequence[Service], bus: Bus, *, clock: Clock) -> None:
        self._services = services
        self._bus = bus
        self._clock = clock
        self._reading = anyio.Lock()
        self._known: list[Reading] = []
        self._read_at: datetime | None = None

    async def text(self) -> bytes:
        """Return everything in Prometheus's text format: what is counted in this process, and the readings."""
        async with self._reading:
            now = self._clock()
            if self._read_at is None or not timedelta(0) <= now - self._read_at < FRESH:
                self._known = await self._read(now)
                self._read_at = now
        return generate_latest() + generate_latest(_Readings(self._known))

    async def _read(self, now: datetime) -> list[Reading]:
        # All at once: one that is slow must not make the whole answer later than Prometheus waits for it.
        read: dict[str, list[Reading]] = {}

        async def keep(service: Service) -> None:
            read[service.name] = await self._one(service, now)

        async with anyio.create_task_group() as tasks:
            for service in self._services:
                tasks.start_soon(keep, service)
        is_bus_ready = await answers(self._bus.ready) is None
        return [
            READY.of("bus", value=is_bus_ready),
            *(each for service in self._services for each in read[service.name]),
        ]

    async def _one(self, service: Service, now: datetime) -> list[Reading]:
        ready = READY.of(service.name, value=await answers(service.ready) is None)
        try:
            with anyio.fail_after(_PATIENCE):
                found = await self._of(service, now)
        except (EverleafError, sa.exc.SQLAlchemyError, OSError) as error:  # a TimeoutError is an OSError
            log.warning("measures.failed", service=service.name, error=type(error).__name__)
            return [ready, UNKNOWN.of(service.name, value=1)]
        return [ready, UNKNOWN.of(service.name, value=0), *found]

    async def _of(self, service: Service, now: datetime) -> list[Reading]:
        async with service.database.read() as session:
            readings = await _outbox(session, service.name, now)
            if service.measured is not None:
                readings += await service.measured(session, now)
        for queue in service.queues:
            depth = await self._bus.depth(queue)
            for state, count in (
                ("waiting", depth.waiting),
                ("retrying", depth.retrying),
                ("dead", depth.dead),
            ):
                readings.append(QUEUE.of(queue.name, state, value=count))
        return readings


async def answers(check: Callable[[], Awaitable[None]]) -> str | None:
    """Return what is wrong with a part, or None where nothing is."""
    try:
        await check()
    except EverleafError as error:
        return error.detail
    return None


async def _outbox(session: AsyncSession, name: str, now: datetime) -> list[Reading]:
    some = sa.select(OUTBOX.c.id).limit(_MANY).subquery()
    count = await session.scalar(sa.select(sa.func.count()).select_from(some))
    oldest = await session.scalar(sa.select(OUTBOX.c.created_at).order_by(OUTBOX.c.id).limit(1))
    age = (now - oldest).total_seconds() if oldest is not None else 0
    return [OUTBOX_EVENTS.of(name, value=count or 0), OUTBOX_AGE.of(name, value=max(age, 0))]


@dataclass(frozen=True)
class _Readings:
    """Readings, as the client library collects them."""

    known: Sequence[Reading]

    def collect(self) -> Iterator[Metric]:
        by_family: dict[Family, list[Reading]] = defaultdict(list)
        for reading in self.known:
            by_family[reading.family].append(reading)
        for family, readings in by_family.items():
            shown: Any = GaugeMetricFamily(family.name, family.meaning, labels=family.labels)
            for reading in readings:
                shown.add_metric(reading.labels, float(reading.value))
            yield shown
