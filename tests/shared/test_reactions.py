"""Batches of events: what is usual is dealt with at once, the rest one by one, each effect exactly once."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy as sa
import structlog

from shared.bus import Delivery, Message, Outcome, Verdict
from shared.bus.sqlite import SqliteBus
from shared.clock import utc_now
from shared.events import Event
from shared.reactions import Reaction, Reactor
from shared.store import Database, Transaction
from shared.store.plumbing import INBOX, OUTBOX
from shared.trace_export import exporting
from tests.conformance.ticks import EFFECTS, Ticked, create_tables, effects
from tests.servers.otlp import Collector
from tests.servers.postgres import Postgres


class Desk:
    """Reacts to ticks: those below ten are usual, unless the usual way is blocked; `failing` fail alone.

    Those from a hundred on come to the same however often they come: the latest is kept.
    """

    def __init__(self, database: Database, bus: SqliteBus) -> None:
        self.database = database
        self.failing: set[int] = set()
        self.is_usual_blocked = False
        self.at_once: list[int] = []
        self.sets: list[int] = []
        self.alone: list[int] = []
        self.is_absorbing = True
        table = [Reaction(Ticked, self._one, handle_usual=self._usual, absorb=self._absorb)]
        self.reactor = Reactor(database, bus, table, clock=utc_now, at_once=4)

    async def _one(self, tx: Transaction, event: Event[Ticked]) -> None:
        self.alone.append(event.data.number)
        await _effect(tx, event)
        if event.data.number in self.failing:
            raise ValueError(f"tick {event.data.number} cannot be handled")

    async def _usual(self, tx: Transaction, events: Sequence[Event[Ticked]]) -> list[Event[Ticked]]:
        for event in events:
            if event.data.number < 10:
                await _effect(tx, event)
        if self.is_usual_blocked:
            raise ValueError("the usual way is blocked")
        self.at_once += [event.data.number for event in events if event.data.number < 10]
        self.sets.append(len(events))
        return [event for event in events if event.data.number >= 10]

    async def _absorb(self, tx: Transaction, events: Sequence[Event[Ticked]]) -> list[Event[Ticked]]:
        known = await tx.session.scalar(
            sa.select(sa.func.max(EFFECTS.c.number)).where(EFFECTS.c.number >= 100)
        )
        latest = max((event.data.number for event in events if event.data.number >= 100), default=0)
        if known is not None and latest > known:
            await tx.session.execute(
                sa.update(EFFECTS).where(EFFECTS.c.number == known).values(number=latest)
            )
        if not self.is_absorbing:
            raise ValueError("nothing is absorbed")
        return [event for event in events if event.data.number < 100 or known is None]

    async def hear(self, *events: Event[Ticked]) -> list[Verdict]:
        deliveries = [
            Delivery(message=Message(id=event.id, type=event.type, body=event.to_bytes()), attempt=1)
            for event in events
        ]
        outcomes: Sequence[Outcome] = await self.reactor.handle(deliveries)
        return [outcome.verdict for outcome in outcomes]

    async def noted(self) -> int:
        async with self.database.read() as session:
            return await session.scalar(sa.select(sa.func.count()).select_from(INBOX)) or 0


async def _effect(tx: Transaction, event: Event[Ticked]) -> None:
    await tx.session.execute(sa.insert(EFFECTS).values(number=event.data.number))


def tick(number: int) -> Event[Any]:
    return Event[Ticked].of(Ticked(number=number), source="test", now=utc_now())


@pytest.fixture(params=["sqlite", "postgresql"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    url = f"sqlite:///{tmp_path}/desk.db"
    if request.param == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.database("desk").url
    database, bus = Database(url, source="desk"), SqliteBus(tmp_path / "bus.db")
    await create_tables(database)
    yield Desk(database, bus)
    await bus.close()
    await database.close()


DONE, RETRY, DEAD = Verdict.DONE, Verdict.RETRY, Verdict.DEAD


async def test_what_is_usual_is_dealt_with_at_once_and_the_rest_alone_and_in_order(desk: Desk) -> None:
    assert await desk.hear(tick(12), tick(1), tick(11), tick(2)) == [DONE] * 4
    assert (desk.at_once, desk.alone) == ([1, 2], [12, 11])
    assert await effects(desk.database) == {1: 1, 2: 1, 11: 1, 12: 1}


async def test_what_is_absorbed_is_so_in_one_and_the_rest_in_as_many_at_a_time_as_are_allowed(
    desk: Desk,
) -> None:
    await desk.hear(tick(100))
    desk.sets.clear()
    assert await desk.hear(*map(tick, range(101, 120)), *map(tick, range(9))) == [DONE] * 28
    assert desk.sets == [4, 4, 1]
    assert await effects(desk.database) == {**dict.fromkeys(range(9), 1), 119: 1}


async def test_an_event_that_comes_twice_has_one_effect_in_one_batch_and_in_two(desk: Desk) -> None:
    usual, other = tick(1), tick(11)
    assert await desk.hear(usual, other, usual, other) == [DONE] * 4
    assert await desk.hear(other, usual) == [DONE] * 2
    assert await effects(desk.database) == {1: 1, 11: 1}


async def test_what_comes_to_the_same_however_often_it_comes_is_not_noted(desk: Desk) -> None:
    first, later = tick(100), tick(101)
    assert await desk.hear(first, tick(1)) == [DONE] * 2
    assert await desk.noted() == 2
    for _ in range(2):
        assert await desk.hear(later, tick(1)) == [DONE] * 2
    assert await effects(desk.database) == {1: 3, 101: 1}
    assert await desk.noted() == 4


async def test_where_that_fails_all_are_noted_and_dealt_with_otherwise(desk: Desk) -> None:
    desk.is_absorbing = False
    assert await desk.hear(tick(100), tick(1)) == [DONE] * 2
    assert (desk.at_once, desk.alone) == ([1], [100])
    assert await desk.noted() == 2


async def test_where_the_usual_way_fails_each_is_tried_alone_and_nothing_is_left_of_it(desk: Desk) -> None:
    desk.is_usual_blocked = True
    assert await desk.hear(tick(1), tick(11)) == [DONE] * 2
    assert desk.alone == [1, 11]
    assert await effects(desk.database) == {1: 1, 11: 1}


async def test_one_that_fails_has_no_effect_is_not_noted_and_holds_up_no_other(desk: Desk) -> None:
    desk.failing = {11}
    bad = tick(11)
    assert await desk.hear(tick(1), bad, tick(12)) == [DONE, RETRY, DONE]
    assert await effects(desk.database) == {1: 1, 12: 1}
    assert await desk.noted() == 2
    desk.failing = set()
    assert await desk.hear(bad) == [DONE]
    assert await effects(desk.database) == {1: 1, 11: 1, 12: 1}


async def test_events_wait_for_a_database_that_is_away_and_use_up_no_try(
    postgres: Postgres, tmp_path: Path
) -> None:
    own = postgres.database("desk")
    database, bus = Database(own.url, source="desk"), SqliteBus(tmp_path / "bus.db")
    await create_tables(database)
    desk, verdicts = Desk(database, bus), []

    async def hear() -> None:
        verdicts.extend(await desk.hear(tick(1), tick(12)))

    postgres.sql(f"ALTER ROLE {own.user} CONNECTION LIMIT 0")
    postgres.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{own.user}'")
    with structlog.testing.capture_logs() as lines:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hear)
            with anyio.fail_after(30):
                while not any(line["event"] == "reaction.waits" for line in lines):
                    await anyio.sleep(0.01)
            assert verdicts == []
            postgres.sql(f"ALTER ROLE {own.user} CONNECTION LIMIT -1")
    assert verdicts == [DONE, DONE]
    assert await effects(database) == {1: 1, 12: 1}
    await bus.close()
    await database.close()


async def test_what_cannot_be_read_is_dead_and_the_others_are_handled(desk: Desk) -> None:
    unreadable = Delivery(message=Message(id="x", type=Ticked.type, body=b"{"), attempt=1)
    unknown = Delivery(message=Message(id="y", type="test.unknown", body=b"{}"), attempt=1)
    good = tick(1)
    given = Delivery(message=Message(id=good.id, type=good.type, body=good.to_bytes()), attempt=1)
    outcomes = await desk.reactor.handle([unreadable, unknown, given])
    assert [outcome.verdict for outcome in outcomes] == [DEAD, DONE, DONE]
    assert await effects(desk.database) == {1: 1}


async def test_what_is_said_of_events_is_said_in_their_traces_and_only_that_is_told_of_sets(
    desk: Desk,
) -> None:
    collector, traces = Collector(), [f"00-{number:032x}-00f067aa0ba902b7-01" for number in (1, 2, 3)]
    usual, silent, alone = (
        tick(number).model_copy(update={"traceparent": trace, "subject": str(number)})
        for number, trace in zip((1, 2, 11), traces, strict=True)
    )

    async def tell(tx: Transaction, events: Sequence[Event[Ticked]]) -> list[Event[Ticked]]:
        tx.emit(Ticked(number=1), now=utc_now())
        return [event for event in events if event.data.number >= 10]

    async def tell_alone(tx: Transaction, event: Event[Ticked]) -> None:
        tx.emit(Ticked(number=event.data.number), now=utc_now())

    table = [Reaction(Ticked, tell_alone, handle_usual=tell)]
    desk.reactor = Reactor(desk.database, SqliteBus(Path("unused")), table, clock=utc_now)
    with exporting(collector.url, process="everleaf-test"):
        assert await desk.hear(silent, usual, alone) == [DONE] * 3
    collector.stop()
    spans = {each.trace: each for each in collector.spans}
    assert spans.keys() == {traces[0].split("-")[1], traces[2].split("-")[1]}
    for span in spans.values():
        assert (span.name, span.parent) == ("process test.ticked", "00f067aa0ba902b7")
        assert span.attributes["everleaf.service"] == "desk"
    async with desk.database.read() as session:
        bodies = await session.scalars(sa.select(OUTBOX.c.body))
        said = {Event.parse(bytes(body), Ticked).traceparent or "" for body in bodies}
    assert {each.split("-")[1]: each.split("-")[2] for each in said} == {
        trace: span.id for trace, span in spans.items()
    }


async def test_events_are_foreseen_while_those_before_them_are_written(desk: Desk) -> None:
    foreseen = anyio.Event()
    seen: list[int] = []

    async def foresee(events: Sequence[Event[Ticked]]) -> None:
        seen.extend(event.data.number for event in events)
        foreseen.set()
        await anyio.sleep_forever()

    async def write(tx: Transaction, event: Event[Ticked]) -> None:
        with anyio.fail_after(30):
            await foreseen.wait()
        await _effect(tx, event)

    table = [Reaction(Ticked, write, foresee=foresee)]
    desk.reactor = Reactor(desk.database, SqliteBus(Path("unused")), table, clock=utc_now, at_once=2)
    assert await desk.hear(*(tick(number) for number in range(5))) == [DONE] * 5
    assert seen == [2, 3, 4]


async def test_sets_are_under_way_together_each_holding_what_it_bears_upon_after_the_one_before(
    desk: Desk,
) -> None:
    if desk.database.is_sqlite:  # it has one writer
        return
    held: list[list[int]] = []
    under_way, most = 0, 0
    has_begun = anyio.Event()

    def ended() -> None:
        nonlocal under_way
        under_way -= 1

    async def hold(tx: Transaction, events: Sequence[Event[Any]]) -> None:
        nonlocal under_way, most
        held.append([event.data.number for event in events])
        under_way += 1
        most = max(most, under_way)
        tx.after_commit(ended)

    async def write(tx: Transaction, event: Event[Ticked]) -> None:
        if event.data.number == 2:
            has_begun.set()
        with anyio.fail_after(30):
            await has_begun.wait()  # the first set is not through before the second is under way
        await _effect(tx, event)

    desk.reactor = Reactor(
        desk.database,
        SqliteBus(Path("unused")),
        [Reaction(Ticked, write)],
        clock=utc_now,
        at_once=2,
        abreast=2,
        before=hold,
    )
    assert await desk.hear(*(tick(number) for number in range(7))) == [DONE] * 7
    assert held == [[0, 1], [2, 3], [4, 5], [6]]
    assert most == 2
    assert await effects(desk.database) == dict.fromkeys(range(7), 1)


async def test_what_nobody_expects_is_raised_as_it_is(desk: Desk) -> None:
    async def hold(_tx: Transaction, _events: Sequence[Event[Any]]) -> None:
        raise KeyError("nobody expects this")

    async def nothing(_tx: Transaction, _event: Event[Ticked]) -> None:
        return None

    desk.reactor = Reactor(
        desk.database,
        SqliteBus(Path("unused")),
        [Reaction(Ticked, nothing)],
        clock=utc_now,
        abreast=2,
        before=hold,
    )
    with pytest.raises(KeyError, match="nobody expects"):
        await desk.hear(tick(1))
    assert await desk.noted() == 0


async def test_what_an_event_says_is_worked_out_when_it_comes_and_a_failure_ends_nothing(desk: Desk) -> None:
    heard: list[int] = []

    async def nothing(_tx: Transaction, _event: Event[Ticked]) -> None:
        return None

    def hear(event: Event[Ticked]) -> None:
        heard.append(event.data.number)
        raise ValueError("nothing can be made of it")

    table = [Reaction(Ticked, nothing, hear=hear)]
    reactor = Reactor(desk.database, SqliteBus(Path("unused")), table, clock=utc_now)
    event = tick(7)
    read = reactor.read(Message(id=event.id, type=event.type, body=event.to_bytes()))
    assert (read, heard) == (event, [7])
    assert reactor.read(Message(id="x", type=event.type, body=b"no event")) is not None
    assert heard == [7]
