"""The embedded bus alone: what happens to messages that a consumer had taken when it, or the file, failed."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from shared.bus import Delivery, Message, Outcome, Queue, Verdict, sqlite
from shared.bus.sqlite import SqliteBus

QUEUE = Queue(name="desk.events", types=("test.ticked",), backoff=(timedelta(0), timedelta(0)))
DONE = Outcome(verdict=Verdict.DONE)


@pytest.fixture
async def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqliteBus]:
    monkeypatch.setattr(sqlite, "_BUSY", timedelta(milliseconds=20))
    bus = SqliteBus(tmp_path / "bus.db")
    await bus.declare([QUEUE])
    yield bus
    await bus.close()


def message(id_: str) -> Message:
    return Message(id=id_, type="test.ticked", body=b"{}")


async def test_what_was_handled_while_the_file_could_not_be_written_is_given_again(
    bus: SqliteBus, tmp_path: Path
) -> None:
    await bus.publish([message("a")])
    attempts: list[int] = []
    holder = sqlite3.connect(tmp_path / "bus.db", isolation_level=None)

    async def handle(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        attempts.extend(each.attempt for each in deliveries)
        if len(attempts) == 1:
            holder.execute("BEGIN IMMEDIATE")
        return [DONE] * len(deliveries)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bus.consume, QUEUE, handle)
        while not attempts:
            await anyio.sleep(0.01)
        await anyio.sleep(0.1)
        holder.execute("ROLLBACK")
        while len(attempts) < 2:
            await anyio.sleep(0.01)
        while (await bus.depth(QUEUE)).waiting:
            await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    holder.close()
    assert attempts == [1, 2]


async def test_a_message_at_which_every_consumer_ends_is_dead_after_its_tries_and_the_others_are_handled(
    bus: SqliteBus,
) -> None:
    await bus.publish([message("deadly"), message("harmless")])
    handled: list[str] = []

    async def consume() -> None:
        async def handle(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
            if deliveries[0].message.id == "deadly":
                tasks.cancel_scope.cancel()
                await anyio.lowlevel.checkpoint()
            handled.extend(each.message.id for each in deliveries)
            return [DONE] * len(deliveries)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: bus.consume(QUEUE, handle, batch=1))
            while not handled:
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()

    for _ in range(len(QUEUE.backoff) + 2):
        await consume()
    dead = await bus.dead_letters(QUEUE)
    assert [(each.message.id, each.attempts, each.reason) for each in dead] == [
        ("deadly", 3, "the process ended while handling it")
    ]
    assert handled == ["harmless"]
