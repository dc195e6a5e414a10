"""A service reduced to its bones: events `test.ticked`, and a table with one row per effect of one.

Run as a program it is the process that the kill tests kill:

    python -m tests.conformance.ticks consume|relay '{"database": URL, "bus": URL, "stop": …}'
"""

import json
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import anyio
import sqlalchemy as sa

from shared.bus import Bus, Message, Queue
from shared.bus.rabbitmq import RabbitBus
from shared.bus.sqlite import SqliteBus
from shared.clock import utc_now
from shared.events import Event, Payload
from shared.reactions import Reaction, Reactor
from shared.store import Database, Transaction
from shared.store.outbox import Relay
from shared.store.plumbing import PLUMBING

TABLES = sa.MetaData()
EFFECTS = sa.Table(
    "effects", TABLES, sa.Column("id", sa.Integer, primary_key=True), sa.Column("number", sa.Integer)
)
BACKOFF = (timedelta(milliseconds=100), timedelta(milliseconds=300))


class Ticked(Payload):
    """Something happened for the `number`th time."""

    type: ClassVar[str] = "test.ticked"

    number: int

    def subject(self) -> str:
        return str(self.number)


class Ticks:
    """Reacts to each tick with one row; told to, it stops for ever in the middle of one."""

    def __init__(self, *, stop_at: int | None = None) -> None:
        self._stop_at = stop_at
        self.failing: set[int] = set()

    async def handle(self, tx: Transaction, event: Event[Ticked]) -> None:
        await tx.session.execute(sa.insert(EFFECTS).values(number=event.data.number))
        if event.data.number in self.failing:
            raise ValueError(f"tick {event.data.number} cannot be handled")
        if event.data.number == self._stop_at:
            await _stop()

    def reactor(self, database: Database, bus: Bus) -> Reactor:
        return Reactor(database, bus, [Reaction(Ticked, self.handle)], clock=utc_now, backoff=BACKOFF)


def open_bus(url: str) -> Bus:
    return RabbitBus(url) if url.startswith("amqp") else SqliteBus(Path(url))


async def create_tables(database: Database) -> None:
    async with database.engine.begin() as connection:
        await connection.run_sync(TABLES.create_all)
        await connection.run_sync(PLUMBING.create_all)


async def effects(database: Database) -> dict[int, int]:
    """Return how many effects each tick has had."""
    async with database.read() as session:
        counts = sa.select(EFFECTS.c.number, sa.func.count()).group_by(EFFECTS.c.number)
        return {row[0]: row[1] for row in await session.execute(counts)}


async def emit(database: Database, numbers: Sequence[int]) -> None:
    """Commit these ticks to the outbox."""
    async with database.transaction() as tx:
        for number in numbers:
            tx.emit(Ticked(number=number), now=utc_now())


class StoppingBus:
    """A bus on which publishing stops for ever: before the messages are on the bus, or after."""

    def __init__(self, bus: Bus, *, when: str) -> None:
        self._bus = bus
        self._when = when

    async def publish(self, messages: Sequence[Message]) -> None:
        if self._when == "after":
            await self._bus.publish(messages)
        await _stop()


async def _stop() -> None:
    print("stopped", flush=True)
    await anyio.sleep_forever()


async def main(role: str, options: dict[str, str]) -> None:
    database = Database(options["database"], source="ticks")
    bus = open_bus(options["bus"])
    if role == "relay":
        publishing = StoppingBus(bus, when=options["stop"]) if "stop" in options else bus
        await Relay(database, publishing).run()  # type: ignore[arg-type] # a relay only publishes
    else:
        stop_at = int(options["stop"]) if "stop" in options else None
        await Ticks(stop_at=stop_at).reactor(database, bus).run()


QUEUE = Queue(name="ticks.events", types=(Ticked.type,), backoff=BACKOFF)

if __name__ == "__main__":
    anyio.run(main, sys.argv[1], json.loads(sys.argv[2]))
