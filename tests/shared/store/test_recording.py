"""What a transaction changes is recorded in it: on whose word, before and after, and never with a secret."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel, col

from shared.acting import Acting, acting_as, also
from shared.audit import Audited, Change
from shared.store import Auditing, Database, Json, Sealed
from shared.store.plumbing import OUTBOX, PLUMBING

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
ANN = Acting(id="ann", name="Ann", address="192.0.2.9", agent="curl/8", operation="PATCH /v1/doors/1")


class Table(SQLModel, registry=registry()):
    """The tables of this test."""


class Storm(Exception):
    """What goes wrong in the middle of a transaction."""


class Door(Table, table=True):
    """Something that is opened with a code."""

    __tablename__ = "doors"

    id: str = Field(primary_key=True)
    name: str
    code: bytes = Field(sa_type=Sealed)
    pin: str = ""
    state: str = "shut"
    groups: list[str] = Field(sa_type=Json)
    lineage_id: str | None = None
    version: int = 1


class Draught(Table, table=True):
    """Something that nobody needs to know."""

    __tablename__ = "draughts"

    id: str = Field(primary_key=True)


AUDITED = {
    Door: Audited(kind="door", hidden=frozenset({"pin"}), milestones={"state": frozenset({"broken"})}),
}


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An audited database of each kind."""
    url = f"sqlite:///{tmp_path}/house.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").database("house").url
    opened = Database(url, source="house", auditing=Auditing(tables=AUDITED, clock=lambda: NOW))
    async with opened.engine.begin() as connection:
        await connection.run_sync(PLUMBING.create_all)
        await connection.run_sync(Table.metadata.create_all)
    yield opened
    await opened.close()


def door(id_: str = "1", **other: Any) -> Door:
    """Return a door."""
    return Door(
        **{"id": id_, "name": "front", "code": b"1234", "groups": ["web"], "lineage_id": "l1", **other}
    )


async def add(database: Database, row: Door) -> None:
    async with database.transaction() as tx:
        tx.session.add(row)


@contextmanager
def on_anns_word(**more: Any) -> Iterator[None]:
    with acting_as(ANN):
        also(**more)
        yield


async def entries(database: Database) -> list[dict[str, Any]]:
    """Return what was recorded, in its order."""
    query = sa.select(OUTBOX.c.body).where(OUTBOX.c.type == "audit.recorded").order_by(OUTBOX.c.id)
    async with database.read() as session:
        return [json.loads(body)["data"] for body in (await session.scalars(query)).all()]


async def test_a_row_that_is_made_changed_and_taken_away_is_three_entries(database: Database):
    with on_anns_word(reason="It creaks.", approval_id="a1"):
        await add(database, door())
        async with database.transaction() as tx:
            row = await tx.session.get_one(Door, "1")
            row.name, row.state, row.version = "back", "open", 2
        async with database.transaction() as tx:
            await tx.session.delete(await tx.session.get_one(Door, "1"))
    made, changed, gone = await entries(database)
    assert [each["action"] for each in (made, changed, gone)] == [
        "door.created",
        "door.changed",
        "door.deleted",
    ]
    assert [each["sequence"] for each in (made, changed, gone)] == [1, 2, 3]
    assert (changed["before"], changed["after"]) == (
        {"name": "front", "state": "shut"},
        {"name": "back", "state": "open"},
    )
    assert (made["before"], gone["after"]) == (None, None)
    assert gone["before"]["name"] == "back"
    for each in (made, changed, gone):
        assert (each["actor_id"], each["actor_name"], each["address"]) == ("ann", "Ann", "192.0.2.9")
        assert (each["operation"], each["agent"]) == ("PATCH /v1/doors/1", "curl/8")
        assert (each["reason"], each["approval_id"]) == ("It creaks.", "a1")
        assert (each["object_kind"], each["object_id"]) == ("door", "1")
        assert (each["groups"], each["lineage_id"]) == (["web"], "l1")
        assert len(each["trace_id"]) == 32


async def test_of_a_secret_only_is_told_that_it_was_changed(database: Database):
    with on_anns_word():
        await add(database, door(code=b"hunter2", pin="4711"))
        async with database.transaction() as tx:
            row = await tx.session.get_one(Door, "1")
            row.code, row.pin = b"swordfish", "0815"
    made, changed = await entries(database)
    assert (made["after"]["code"], made["after"]["pin"]) == ("(secret)", "(secret)")
    assert changed["before"] == {"code": "(secret)", "pin": "(secret)"}
    assert changed["after"] == {"code": "(changed)", "pin": "(changed)"}
    text = json.dumps([made, changed])
    assert [secret for secret in ("hunter2", "swordfish", "4711", "0815") if secret in text] == []


async def test_what_is_rolled_back_leaves_no_entry_and_no_gap(database: Database):
    with on_anns_word():
        await add(database, door("1"))
        with suppress(Storm):
            async with database.transaction() as tx:
                tx.session.add(door("2"))
                await tx.session.flush()
                raise Storm
        async with database.transaction() as tx:
            tx.session.add(door("3"))
            with suppress(Storm):
                async with tx.savepoint():
                    tx.session.add(door("4"))
                    await tx.session.flush()
                    raise Storm
            tx.session.add(door("5"))
    told = await entries(database)
    assert [(each["object_id"], each["sequence"]) for each in told] == [("1", 1), ("3", 2), ("5", 3)]


async def test_what_cannot_be_recorded_is_not_done(database: Database):
    async with database.engine.begin() as connection:
        await connection.run_sync(OUTBOX.drop)
    with on_anns_word(), pytest.raises(sa.exc.DBAPIError):
        await add(database, door())
    async with database.read() as session:
        assert await session.get(Door, "1") is None


async def test_a_row_that_is_written_several_times_is_one_entry(database: Database):
    with on_anns_word():
        async with database.transaction() as tx:
            tx.session.add(door())
            await tx.session.flush()
            row = await tx.session.get_one(Door, "1")
            row.name = "side"
            await tx.session.flush()
            row.name = "back"
            tx.session.add(door("2"))
            await tx.session.flush()
            await tx.session.delete(await tx.session.get_one(Door, "2"))
        async with database.transaction() as tx:
            row = await tx.session.get_one(Door, "1")
            row.name = "side"
            await tx.session.flush()
            row.name = "back"  # as it was
    [told] = await entries(database)
    assert (told["action"], told["after"]["name"]) == ("door.created", "back")


async def test_what_the_platform_does_by_itself_is_an_entry_where_that_matters(database: Database):
    await add(database, door())
    async with database.transaction() as tx:
        (await tx.session.get_one(Door, "1")).state = "open"
    async with database.transaction() as tx:
        (await tx.session.get_one(Door, "1")).state = "broken"
    made, broken = await entries(database)
    assert (made["action"], broken["after"]) == ("door.created", {"state": "broken"})
    assert {made["actor_id"], broken["actor_id"]} == {"house"}


async def test_what_a_statement_does_is_told_by_hand(database: Database):
    with on_anns_word():
        await add(database, door())
        async with database.transaction() as tx:
            await tx.session.execute(sa.update(Door).where(col(Door.id) == "1").values(state="open"))
            tx.record(Change(kind="door", verb="opened", id="1", after={"at": NOW}))
            tx.record(Change(kind="door", verb="opened", id="1", actor=("bob", "Bob"), on_behalf_of="ann"))
            tx.session.add(Draught(id="d"))
    _, by_ann, by_bob = await entries(database)
    assert (by_ann["actor_id"], by_ann["after"]) == ("ann", {"at": "2026-11-27T12:00:00Z"})
    assert (by_bob["actor_id"], by_bob["on_behalf_of"]) == ("bob", "ann")


async def test_numbers_have_no_gap_however_many_change_things_at_once(database: Database):
    async def one(number: int) -> None:
        await add(database, door(f"{number}"))

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(one, number)
    assert sorted(each["sequence"] for each in await entries(database)) == list(range(1, 21))


async def test_what_is_driven_is_recorded_in_the_same_row_of_numbers(database: Database):
    async def driven(number: int) -> None:
        async with database.driven() as unit:
            unit.record(Change(kind="door", verb="painted", id=f"{number}"))
            unit.record(Change(kind="door", verb="oiled", id=f"{number}"))

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(driven, number)
            tasks.start_soon(add, database, door(f"{number}"))
    told = await entries(database)
    assert sorted(each["sequence"] for each in told) == list(range(1, 16))
    assert {each["action"] for each in told} == {"door.painted", "door.oiled", "door.created"}


async def test_of_what_is_endless_only_the_digest_is_kept(database: Database):
    with on_anns_word():
        await add(database, door(name="x" * 10_000))
    [told] = await entries(database)
    assert told["after"]["name"].startswith("(10000 characters, sha256:")
