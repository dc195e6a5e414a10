"""A service reduced to what every service does with events: an outbox, a queue, an inbox, and one row as the effect of each event."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import anyio
import sqlalchemy as sa

from shared.bus import Bus, Delivery, Outcome
from shared.bus.rabbitmq import RabbitBus
from shared.bus.sqlite import SqliteBus
from shared.clock import utc_now
from shared.events import Event, Payload
from shared.reactions import Reaction, Reactor
from shared.store import Database, Transaction, write_rows
from shared.store.plumbing import PLUMBING

NAME = "pulse"
_TABLES = sa.MetaData()
EFFECTS = sa.Table(
    "effects",
    _TABLES,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("text", sa.Text, nullable=False),
)
_TEXT = "0123456789abcdef" * 77
"""So that an event has about 1.5 kB, as one with what is known of a certificate."""
_AT_ONCE = 500


class Pulsed(Payload):
    """Something happened for the `number`th time."""

    type: ClassVar[str] = "bench.pulsed"

    number: int
    text: str = _TEXT

    def subject(self) -> str:
        """Return which it was."""
        return str(self.number)


def event(number: int) -> Event[Pulsed]:
    """Return an event as our outbox and every baseline have it."""
    return Event[Pulsed].of(Pulsed(number=number), source=NAME, now=utc_now())


class Counting(Reactor):
    """The reactions of one who writes a row for each event; says when so many were handled."""

    def __init__(self, database: Database, bus: Bus, *, alone: bool = False) -> None:
        """With `alone` each event is handled by itself, as by a handler that knows nothing of sets."""
        table = [Reaction(Pulsed, _one, handle_usual=None if alone else _several)]
        super().__init__(database, bus, table, clock=utc_now)
        self._handled, self._wanted, self._done = 0, 0, anyio.Event()

    async def until(self, count: int) -> None:
        """React until then."""
        self._wanted = count
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.run)
            await self._done.wait()
            tasks.cancel_scope.cancel()

    async def handle(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """Handle a batch, and count it."""
        outcomes = await super().handle(deliveries)
        self._handled += len(deliveries)
        if self._handled >= self._wanted:
            self._done.set()
        return outcomes


async def _one(tx: Transaction, event: Event[Pulsed]) -> None:
    await _several(tx, [event])


async def _several(tx: Transaction, events: Sequence[Event[Pulsed]]) -> Sequence[Event[Pulsed]]:
    rows = [{"number": event.data.number, "text": event.data.text} for event in events]
    await write_rows(tx, sa.insert(EFFECTS), rows)
    return ()


def open_bus(url: str) -> Bus:
    """Return the bus at a URL of RabbitMQ's, else the one in that file."""
    return RabbitBus(url) if url.startswith("amqp") else SqliteBus(Path(url))


async def prepare(database_url: str, bus_url: str, *, count: int) -> None:
    """Make tables and queues, and commit so many events to the outbox."""
    database, bus = Database(database_url, source=NAME), open_bus(bus_url)
    async with database.engine.begin() as connection:
        await connection.run_sync(PLUMBING.create_all)
        await connection.run_sync(_TABLES.create_all)
    await bus.declare([Counting(database, bus).queue])
    for start in range(0, count, _AT_ONCE):
        async with database.transaction() as tx:
            for number in range(start, min(start + _AT_ONCE, count)):
                tx.emit(Pulsed(number=number), now=utc_now())
    await bus.close()
    await database.close()


async def effects(database_url: str) -> int:
    """Return how many events have had their effect; the key of the table lets none have two."""
    database = Database(database_url, source=NAME)
    async with database.read() as session:
        count = await session.scalar(sa.select(sa.func.count()).select_from(EFFECTS))
    await database.close()
    return count or 0
