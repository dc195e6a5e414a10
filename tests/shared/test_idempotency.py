from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
import sqlalchemy as sa
from fastapi import Request
from pydantic import Field

from shared.access import Principal
from shared.errors import Conflict, Invalid, NotFound
from shared.http import Body, View
from shared.idempotency import KEPT, RUNNING, Once
from shared.store import Database
from shared.store.plumbing import PLUMBING, REQUESTS
from tests.servers.postgres import Postgres

ALICE, BOB = Principal(id="1", name="alice"), Principal(id="2", name="bob")


class Planting(Body):
    kind: str = "oak"
    credential: dict[str, str] = Field(default_factory=dict)


class Tree(View):
    number: int
    planted_at: datetime


class Garden:
    """Plants trees, each call one more; the clock is set by hand."""

    def __init__(self, database: Database) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.trees = 0
        self.database = database
        self.may_go_on = anyio.Event()
        self.may_go_on.set()
        self._once = Once(database, lambda: self.now)

    async def plant(
        self,
        *,
        key: str | None = "k",
        caller: Principal = ALICE,
        body: Planting | None = None,
        path: str = "/v1/trees",
        error: Exception | None = None,
    ) -> Tree:
        async def create() -> Tree:
            self.trees += 1
            await self.may_go_on.wait()
            if error is not None:
                raise error
            return Tree(number=self.trees, planted_at=self.now)

        request = Request(
            {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
        )
        return await self._once.run(
            request, key=key, caller=caller, body=body or Planting(), view=Tree, create=create
        )


@pytest.fixture(params=["sqlite", "postgresql"])
async def garden(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Garden]:
    """A garden on each kind of database."""
    url = f"sqlite:///{tmp_path}/garden.db"
    if request.param == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.database("garden").url
    database = Database(url, source="garden")
    async with database.engine.begin() as connection:
        await connection.run_sync(PLUMBING.create_all)
    yield Garden(database)
    await database.close()


async def test_the_same_request_sent_twice_is_done_once_and_answered_twice(garden: Garden):
    first = await garden.plant()
    garden.now += timedelta(hours=1)
    assert await garden.plant() == first
    assert garden.trees == 1


async def test_without_a_key_each_request_is_done(garden: Garden):
    await garden.plant(key=None)
    await garden.plant(key=None)
    assert garden.trees == 2


async def test_another_key_is_another_request(garden: Garden):
    await garden.plant(key="one")
    await garden.plant(key="two")
    assert garden.trees == 2


async def test_the_same_key_of_another_caller_or_route_is_another_request(garden: Garden):
    await garden.plant()
    await garden.plant(caller=BOB)
    await garden.plant(path="/v1/hedges")
    assert garden.trees == 3


async def test_the_same_key_with_another_body_is_refused(garden: Garden):
    await garden.plant()
    with pytest.raises(Invalid, match="another body"):
        await garden.plant(body=Planting(kind="elm"))
    assert garden.trees == 1


async def test_nothing_that_is_kept_could_give_a_credential_away(garden: Garden):
    first = await garden.plant(body=Planting(credential={"password": "oak"}))
    assert await garden.plant(body=Planting(credential={"password": "elm"})) == first


async def test_while_the_first_is_running_the_second_conflicts(garden: Garden):
    garden.may_go_on = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(garden.plant)
        await until(lambda: garden.trees == 1)
        with pytest.raises(Conflict, match="still running"):
            await garden.plant()
        garden.may_go_on.set()
    assert (await garden.plant()).number == garden.trees == 1


async def test_of_many_sent_at_once_one_is_done(garden: Garden):
    conflicts = []

    async def plant() -> None:
        try:
            await garden.plant()
        except Conflict as error:
            conflicts.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(plant)
    assert garden.trees == 1


async def test_one_that_failed_may_be_sent_again(garden: Garden):
    with pytest.raises(NotFound):
        await garden.plant(error=NotFound("No soil.", next_step="Bring some."))
    await garden.plant()
    assert garden.trees == 2


async def test_one_that_was_cancelled_may_be_sent_again(garden: Garden):
    garden.may_go_on = anyio.Event()
    with anyio.move_on_after(0.2):
        await garden.plant()
    garden.may_go_on.set()
    await garden.plant()
    assert garden.trees == 2


async def test_one_that_died_may_be_repeated_after_a_minute_and_by_one_only(garden: Garden):
    await die(garden)
    with pytest.raises(Conflict):
        await garden.plant()
    garden.now += RUNNING
    garden.may_go_on = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(garden.plant)
        await until(lambda: garden.trees == 1)
        with pytest.raises(Conflict):
            await garden.plant()
        garden.may_go_on.set()
    assert (await garden.plant()).number == 1


async def test_after_a_day_a_key_is_forgotten(garden: Garden):
    await garden.plant()
    garden.now += KEPT + timedelta(seconds=1)
    await garden.plant()
    assert garden.trees == 2


async def die(garden: Garden) -> None:
    """Leave what a process leaves that is killed in the middle of a request: a row without an answer."""
    await garden.plant()
    garden.trees = 0
    async with garden.database.transaction() as tx:
        await tx.session.execute(sa.update(REQUESTS).values(response=sa.null()))


async def until(is_so: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not is_so():
            await anyio.sleep(0.005)
