"""What every transport of the bus must do, whoever dies on the way. Both run this suite."""

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

from shared.bus import Bus, Delivery, Depth, Message, Outcome, Queue, Verdict
from shared.bus.rabbitmq import RabbitBus
from shared.bus.sqlite import SqliteBus
from shared.errors import Unavailable
from shared.store import Database
from shared.store.outbox import Relay
from shared.tls import client_context
from tests.conformance.ticks import BACKOFF, QUEUE, Ticks, create_tables, effects, emit, open_bus
from tests.servers.postgres import Postgres
from tests.servers.processes import free_port
from tests.servers.rabbitmq import SETTLED, RabbitMQ, StartRabbitMQ
from tests.servers.tls import CertificateAuthority

HUNDREDS = range(300)
DONE = Outcome(verdict=Verdict.DONE)


@dataclass
class Transport:
    """One of the two, and a database of the kind that goes with it."""

    name: str
    bus_url: str
    database_url: str
    vhost: str = ""
    management: RabbitMQ | None = None
    opened: AsyncExitStack = field(default_factory=AsyncExitStack)

    def bus(self) -> Bus:
        """Open the bus; it is closed when the test ends."""
        bus = open_bus(self.bus_url)
        self.opened.push_async_callback(bus.close)
        return bus

    async def database(self) -> Database:
        """Open the database, with its tables."""
        database = Database(self.database_url, source="ticks")
        self.opened.push_async_callback(database.close)
        await create_tables(database)
        return database

    def unrouted(self) -> int:
        """Return how many messages nobody was bound to."""
        if self.management is None:
            with sqlite3.connect(self.bus_url) as connection:
                count = connection.execute("SELECT count(*) FROM unrouted").fetchone()[0]
            connection.close()
            return int(count)
        body = {"count": 100, "ackmode": "ack_requeue_true", "encoding": "auto"}
        answer = self.management.api("POST", f"queues/{self.vhost}/everleaf.unrouted/get", body)
        return len(answer.json())

    @contextmanager
    def process(self, role: str, **stop: object) -> Iterator["subprocess.Popen[str]"]:
        """Run `ticks` as a process of its own."""
        options = {"database": self.database_url, "bus": self.bus_url, **{k: str(v) for k, v in stop.items()}}
        arguments = [sys.executable, "-m", "tests.conformance.ticks", role, json.dumps(options)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    def run_until_it_stops(self, role: str, stop: object) -> None:
        """Run a process up to the point where it stops, and kill it there."""
        with self.process(role, stop=stop) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "stopped\n"
            process.kill()


@pytest.fixture(params=["embedded", "rabbitmq"])
async def transport(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Transport]:
    """Each transport in turn, empty."""
    if request.param == "embedded":
        made = Transport("embedded", str(tmp_path / "bus.db"), f"sqlite:///{tmp_path}/ticks.db")
    else:
        broker: RabbitMQ = request.getfixturevalue("rabbitmq")
        postgres: Postgres = request.getfixturevalue("postgres")
        vhost = broker.vhost()
        made = Transport("rabbitmq", vhost.url, postgres.database("ticks").url, vhost.name, broker)
    async with made.opened:
        yield made


@asynccontextmanager
async def running(*jobs: Callable[[], Any]) -> AsyncIterator[None]:
    """Run these beside the block."""
    async with anyio.create_task_group() as tasks:
        for job in jobs:
            tasks.start_soon(job)
        yield
        tasks.cancel_scope.cancel()


async def eventually(look: Callable[[], Any], *, within: float = 30) -> Any:
    """Return what `look` gives as soon as it is true."""
    deadline = time.monotonic() + within
    while True:
        found = await look()
        if found or time.monotonic() > deadline:
            assert found, "it did not happen in time"
            return found
        await anyio.sleep(0.02)


async def each_once(database: Database, numbers: Sequence[int]) -> None:
    """Wait until every tick has had its effect, and see that none had two."""

    async def complete() -> bool:
        return len(await effects(database)) == len(numbers)

    await eventually(complete, within=60)
    await anyio.sleep(0.5)  # whatever is still on its way must have no second effect
    assert await effects(database) == dict.fromkeys(numbers, 1)


def message(name: str, event_type: str = "test.ticked") -> Message:
    return Message(id=name, type=event_type, body=b'{"id": "%s"}' % name.encode())


class Recorder:
    """A consumer that keeps what it got, with the time, and says what it was told to."""

    def __init__(self, verdicts: dict[str, Verdict] | None = None) -> None:
        self.verdicts = verdicts or {}
        self.got: list[tuple[str, int, float]] = []

    async def __call__(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        self.got += [(d.message.id, d.attempt, time.monotonic()) for d in deliveries]
        return [
            Outcome(verdict=self.verdicts.get(d.message.id, Verdict.DONE), reason="as told")
            for d in deliveries
        ]

    @property
    def ids(self) -> set[str]:
        return {name for name, _, _ in self.got}


async def test_a_message_reaches_every_queue_bound_to_its_type_and_no_other(transport: Transport) -> None:
    bus, first, second, other = transport.bus(), Recorder(), Recorder(), Recorder()
    queues = [
        Queue(name="first", types=("a.happened",)),
        Queue(name="second", types=("a.happened", "b.happened")),
        Queue(name="other", types=("c.happened",)),
    ]
    await bus.declare(queues)
    async with running(
        *(lambda q=q, r=r: bus.consume(q, r) for q, r in zip(queues, (first, second, other), strict=True))
    ):
        await bus.publish([message("1", "a.happened"), message("2", "b.happened")])

        async def arrived() -> bool:
            return first.ids == {"1"} and second.ids == {"1", "2"}

        await eventually(arrived)
        await anyio.sleep(0.3)
    assert first.ids == {"1"}
    assert other.ids == set()


async def test_declaring_again_changes_nothing(transport: Transport) -> None:
    bus, recorder = transport.bus(), Recorder()
    await bus.declare([QUEUE])
    await bus.publish([message("1")])
    await bus.declare([QUEUE])
    async with running(lambda: bus.consume(QUEUE, recorder)):

        async def arrived() -> bool:
            return recorder.ids == {"1"}

        await eventually(arrived)


async def test_a_consumer_gets_what_its_reader_has_made_of_each_message(transport: Transport) -> None:
    bus, got = transport.bus(), dict[str, object]()

    async def handle(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        got.update({each.message.id: each.read for each in deliveries})
        return [DONE] * len(deliveries)

    await bus.declare([QUEUE])
    await bus.publish([message("1"), message("2")])
    async with running(lambda: bus.consume(QUEUE, handle, reader=lambda each: json.loads(each.body)["id"])):

        async def read() -> bool:
            return got == {"1": "1", "2": "2"}

        await eventually(read)


async def test_a_repeated_event_has_one_effect(transport: Transport) -> None:
    bus, database, ticks = transport.bus(), await transport.database(), Ticks()
    reactor = ticks.reactor(database, bus)
    await bus.declare([reactor.queue])
    published: list[Message] = []

    class Remembering:
        async def publish(self, messages: Sequence[Message]) -> None:
            published.extend(messages)
            await bus.publish(messages)

    await emit(database, range(5))
    await Relay(database, Remembering()).relay_once()  # type: ignore[arg-type] # a relay only publishes
    async with running(reactor.run):
        await each_once(database, range(5))
        await bus.publish(published)
        await bus.publish(published)
        await each_once(database, range(5))


async def test_a_poison_message_is_dead_after_its_tries_and_holds_nothing_up(transport: Transport) -> None:
    bus, recorder = transport.bus(), Recorder({"poison": Verdict.RETRY})
    await bus.declare([QUEUE])
    async with running(lambda: bus.consume(QUEUE, recorder)):
        await bus.publish([message("poison"), *(message(str(n)) for n in range(50))])

        async def dead() -> bool:
            return await bus.dead_letter_count(QUEUE) == 1

        await eventually(dead)
    tries = [(attempt, at) for name, attempt, at in recorder.got if name == "poison"]
    assert [attempt for attempt, _ in tries] == [1, 2, 3]
    waits = [timedelta(seconds=later[1] - earlier[1]) for earlier, later in pairwise(tries)]
    assert all(wait >= asked * 0.9 for wait, asked in zip(waits, BACKOFF, strict=True))
    others = [at for name, _, at in recorder.got if name != "poison"]
    assert len(others) == 50
    assert max(others) < tries[1][1]
    (letter,) = await bus.dead_letters(QUEUE)
    assert (letter.message, letter.attempts, letter.reason) == (message("poison"), 3, "as told")


async def test_a_hopeless_message_is_dead_at_once(transport: Transport) -> None:
    bus, recorder = transport.bus(), Recorder({"hopeless": Verdict.DEAD})
    await bus.declare([QUEUE])
    async with running(lambda: bus.consume(QUEUE, recorder)):
        await bus.publish([message("hopeless")])

        async def dead() -> bool:
            return await bus.dead_letter_count(QUEUE) == 1

        await eventually(dead)
    assert len(recorder.got) == 1


async def test_what_is_not_an_event_is_dead_at_once_and_the_rest_is_handled(transport: Transport) -> None:
    bus, database, ticks = transport.bus(), await transport.database(), Ticks()
    reactor = ticks.reactor(database, bus)
    await bus.declare([reactor.queue])
    async with running(reactor.run, Relay(database, bus).run):
        await bus.publish([Message(id="broken", type="test.ticked", body=b"not JSON")])
        await emit(database, range(3))
        await each_once(database, range(3))

        async def dead() -> bool:
            return await bus.dead_letter_count(reactor.queue) == 1

        await eventually(dead)
    (letter,) = await bus.dead_letters(reactor.queue)
    assert letter.message.id == "broken"
    assert "not a valid test.ticked" in letter.reason


async def test_a_failed_effect_is_undone_and_tried_again(transport: Transport) -> None:
    bus, database, ticks = transport.bus(), await transport.database(), Ticks()
    reactor = ticks.reactor(database, bus)
    await bus.declare([reactor.queue])
    ticks.failing = {3}
    async with running(reactor.run, Relay(database, bus).run):
        await emit(database, range(10))

        async def others() -> bool:
            return len(await effects(database)) == 9

        await eventually(others)
        assert 3 not in await effects(database)
        ticks.failing = set()
        await each_once(database, range(10))


async def test_dead_letters_are_put_back_and_handled_when_the_cause_is_gone(transport: Transport) -> None:
    bus, database, ticks = transport.bus(), await transport.database(), Ticks()
    reactor = ticks.reactor(database, bus)
    await bus.declare([reactor.queue])
    ticks.failing = {1, 2}
    async with running(reactor.run, Relay(database, bus).run):
        await emit(database, range(4))

        async def dead() -> bool:
            return await bus.dead_letter_count(reactor.queue) == 2

        await eventually(dead)
        letters = await bus.dead_letters(reactor.queue)
        assert all("cannot be handled" in letter.reason for letter in letters)

        async def settled() -> bool:
            return await bus.depth(reactor.queue) == Depth(waiting=0, retrying=0, dead=2)

        await eventually(settled)
        ticks.failing = set()
        assert await bus.redrive(reactor.queue, [letters[0].message.id]) == 1
        assert await bus.redrive(reactor.queue) == 1
        await each_once(database, range(4))
        assert await bus.dead_letters(reactor.queue) == []


async def test_dead_letters_can_be_thrown_away_one_by_one(transport: Transport) -> None:
    bus = transport.bus()
    await bus.declare([QUEUE])
    recorder = Recorder({"1": Verdict.DEAD, "2": Verdict.DEAD})
    async with running(lambda: bus.consume(QUEUE, recorder)):
        await bus.publish([message("1"), message("2")])

        async def dead() -> bool:
            return await bus.dead_letter_count(QUEUE) == 2

        await eventually(dead)
    assert await bus.discard(QUEUE, ["1"]) == 1
    assert [letter.message.id for letter in await bus.dead_letters(QUEUE)] == ["2"]


async def test_a_message_nobody_is_bound_to_is_kept_aside(transport: Transport) -> None:
    bus = transport.bus()
    await bus.declare([QUEUE])
    await bus.publish([message("1", "nobody.listens")])
    deadline = time.monotonic() + 10
    while transport.unrouted() != 1 and time.monotonic() < deadline:
        await anyio.sleep(0.1)
    assert transport.unrouted() == 1


async def test_a_consumer_killed_in_the_middle_loses_and_doubles_nothing(transport: Transport) -> None:
    bus, database = transport.bus(), await transport.database()
    await bus.declare([QUEUE])
    await emit(database, HUNDREDS)
    while await Relay(database, bus).relay_once():
        pass
    await asyncio.to_thread(transport.run_until_it_stops, "consume", 150)
    with transport.process("consume"):
        await each_once(database, HUNDREDS)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_relay_killed_around_publishing_loses_and_doubles_nothing(
    transport: Transport, when: str
) -> None:
    bus, database = transport.bus(), await transport.database()
    await bus.declare([QUEUE])
    await emit(database, HUNDREDS)
    await asyncio.to_thread(transport.run_until_it_stops, "relay", when)
    reactor = Ticks().reactor(database, bus)
    async with running(reactor.run, Relay(database, bus).run):
        await each_once(database, HUNDREDS)


async def test_several_relays_at_once_lose_and_double_nothing(transport: Transport) -> None:
    bus, database = transport.bus(), await transport.database()
    await bus.declare([QUEUE])
    reactor = Ticks().reactor(database, bus)
    relays = [Relay(database, bus, batch=10).run for _ in range(3)]
    async with running(reactor.run, *relays):
        for start in range(0, 300, 50):
            await emit(database, range(start, start + 50))
        await each_once(database, HUNDREDS)


async def test_an_absent_broker_is_said_to_be_absent(tmp_path: Path) -> None:
    absent = RabbitBus(f"amqp://guest:secret@127.0.0.1:{free_port()}/")
    with pytest.raises(Unavailable, match="RabbitMQ cannot be used") as caught:
        await absent.publish([message("1")])
    assert "secret" not in str(caught.value)
    nowhere = SqliteBus(tmp_path / "no" / "folder" / "bus.db")
    with pytest.raises(Unavailable, match="embedded bus cannot be used"):
        await nowhere.publish([message("1")])
    await nowhere.close()


async def test_a_broker_killed_and_started_again_loses_and_doubles_nothing(
    start_rabbitmq: StartRabbitMQ, postgres: Postgres
) -> None:
    broker = await asyncio.to_thread(start_rabbitmq)
    transport = Transport("rabbitmq", broker.vhost().url, postgres.database("ticks").url)
    async with transport.opened:
        bus, database = transport.bus(), await transport.database()
        await bus.declare([QUEUE])
        await anyio.sleep(SETTLED)
        reactor = Ticks().reactor(database, bus)
        async with running(reactor.run, Relay(database, bus, batch=20).run):
            await emit(database, range(100))
            await asyncio.to_thread(broker.kill)
            await emit(database, range(100, 200))
            await anyio.sleep(1)
            await asyncio.to_thread(broker.start)
            await emit(database, range(200, 300))
            await each_once(database, HUNDREDS)


async def test_an_embedded_bus_that_is_locked_for_a_while_loses_and_doubles_nothing(tmp_path: Path) -> None:
    transport = Transport("embedded", str(tmp_path / "bus.db"), f"sqlite:///{tmp_path}/ticks.db")
    async with transport.opened:
        bus, database = transport.bus(), await transport.database()
        await bus.declare([QUEUE])
        reactor = Ticks().reactor(database, bus)
        async with running(reactor.run, Relay(database, bus, batch=20).run):
            await emit(database, range(100))
            blocker = sqlite3.connect(transport.bus_url, isolation_level=None, timeout=30)
            blocker.execute("BEGIN EXCLUSIVE")
            await emit(database, range(100, 300))
            await anyio.sleep(7)  # longer than the bus waits for a lock
            blocker.execute("ROLLBACK")
            blocker.close()
            await each_once(database, HUNDREDS)


async def test_rabbitmq_is_spoken_to_over_verified_tls(
    start_rabbitmq: StartRabbitMQ, lab_ca: CertificateAuthority, lab_ca_pem: Path, tmp_path: Path
) -> None:
    certificate, key = lab_ca.issue("localhost").write(tmp_path / "tls", key_mode=0o644)
    broker = await asyncio.to_thread(lambda: start_rabbitmq(tls=(lab_ca_pem, certificate, key)))
    vhost = broker.vhost()
    trusting = RabbitBus(vhost.tls_url, tls=client_context(lab_ca_pem))
    await trusting.ready()
    await trusting.close()
    doubting = RabbitBus(vhost.tls_url, tls=client_context())
    with pytest.raises(Unavailable, match=r"(?i)certificate.verify.failed"):
        await doubting.ready()
