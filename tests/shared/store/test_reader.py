"""Reading by the driver gives what a session gives, on either database."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
import sqlalchemy as sa

from shared.store import Database, Instant, Json, is_away
from shared.store.reader import AtHand, Columns, Fixed, TookTooLong, among
from tests.servers.postgres import Postgres

TABLES = sa.MetaData()
TREES = sa.Table(
    "trees",
    TABLES,
    sa.Column("name", sa.String(50), primary_key=True),
    sa.Column("planted_at", Instant),
    sa.Column("fruits", Json),
    sa.Column("height", sa.Float),
    sa.Column("rings", sa.Integer),
    sa.Column("is_tall", sa.Boolean),
)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
OAK = {
    "name": "oak",
    "planted_at": NOON,
    "fruits": ["acorn"],
    "height": 12.5,
    "rings": 90,
    "is_tall": True,
}
ELM = {"name": "elm", "planted_at": None, "fruits": None, "height": None, "rings": None, "is_tall": False}
NAMED = Fixed(sa.select(*TREES.c).where(among(TREES.c.name, "names")).order_by(TREES.c.name))
SINCE = Fixed(sa.select(TREES.c.name).where(TREES.c.planted_at >= sa.bindparam("at", type_=Instant())))
FELLED = Fixed(sa.delete(TREES).where(TREES.c.name == sa.bindparam("name")))
LISTED = Columns(TREES, *TREES.c)


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A database of each kind with two trees."""
    url = f"sqlite:///{tmp_path}/garden.db"
    if request.param == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.database("garden").url
    opened = Database(url, source="garden")
    async with opened.engine.begin() as connection:
        await connection.run_sync(TABLES.create_all)
        await connection.execute(sa.insert(TREES), [OAK, ELM])
    yield opened
    await opened.close()


async def test_rows_have_the_types_of_the_table(database: Database):
    async with database.reader() as reader:
        rows = await reader.rows(NAMED, names=["oak", "elm", "fir"])
    assert [vars(row) for row in rows] == [ELM, OAK]
    assert rows[1].planted_at.utcoffset() == timedelta(0)


async def test_a_statement_is_asked_again_with_other_values(database: Database):
    eastern = (NOON + timedelta(seconds=1)).astimezone().replace(microsecond=0)
    async with database.reader() as reader:
        assert [row.name for row in await reader.rows(SINCE, at=NOON)] == ["oak"]
        assert await reader.rows(SINCE, at=eastern) == []
        assert await reader.rows(NAMED, names=[]) == []


@pytest.mark.parametrize("longest", [None, timedelta(seconds=20)])
async def test_a_list_has_the_conditions_and_the_order_of_its_query(
    database: Database, longest: timedelta | None
):
    query = LISTED.selected.where(TREES.c.name.in_(["oak", "elm", "it's"]), TREES.c.rings.is_not(None))
    async with database.reader(longest=longest) as reader:
        rows = await reader.listed(query.order_by(TREES.c.name).limit(5), LISTED)
        everything = await reader.listed(LISTED.selected.order_by(TREES.c.name.desc()), LISTED)
    assert [vars(row) for row in rows] == [OAK]
    assert [row.name for row in everything] == ["oak", "elm"]


async def test_each_question_of_one_form_is_asked_with_its_own_values(database: Database):
    async def found(names: Sequence[str], *, after: str, limit: int) -> list[str]:
        mine = sa.or_(*(TREES.c.name == name for name in names))
        query = LISTED.selected.where(mine, TREES.c.name > after).order_by(TREES.c.name).limit(limit)
        async with database.reader() as reader:
            return [row.name for row in await reader.listed(query, LISTED)]

    assert await found(["oak", "elm"], after="elm", limit=5) == ["oak"]
    assert await found(["elm", "fir"], after="", limit=5) == ["elm"]
    assert await found(["oak", "elm"], after="", limit=1) == ["elm"]
    assert await found(["oak", "elm", "fir"], after="", limit=5) == ["elm", "oak"]


async def test_a_list_of_another_length_is_another_form(database: Database):
    for names, wanted in ((["oak"], ["oak"]), (["elm", "oak"], ["elm", "oak"]), (["elm", "fir"], ["elm"])):
        query = LISTED.selected.where(TREES.c.name.in_(names)).order_by(TREES.c.name)
        async with database.reader() as reader:
            assert [row.name for row in await reader.listed(query, LISTED)] == wanted


async def test_what_the_database_refuses_is_an_error_that_tells_it_from_one_that_is_away(database: Database):
    async with database.engine.begin() as connection:
        await connection.execute(sa.text("DROP TABLE trees"))
    with pytest.raises(sa.exc.DBAPIError) as raised:
        async with database.reader() as reader:
            await reader.rows(NAMED, names=["oak"])
    if not database.is_sqlite:
        assert not is_away(raised.value)
        assert "oak" not in str(raised.value)


async def test_what_is_written_by_the_driver_is_there_for_all_at_once(database: Database):
    async with database.single() as driver:
        assert await driver.values(FELLED, name="oak") == []
        async with database.reader() as other:
            assert [row.name for row in await other.rows(NAMED, names=["oak", "elm"])] == ["elm"]


async def test_of_a_file_a_statement_alone_and_a_transaction_write_one_after_the_other(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path}/garden.db", source="garden")
    async with database.transaction() as tx:
        connection = await tx.session.connection()
        await connection.run_sync(TABLES.create_all)
        await connection.execute(sa.insert(TREES), [OAK])
    async with anyio.create_task_group() as tasks, database.transaction() as tx:
        tasks.start_soon(_fell, database, "oak")
        await anyio.wait_all_tasks_blocked()
        assert await tx.session.scalar(sa.select(sa.func.count()).select_from(TREES)) == 1
    async with database.read() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(TREES)) == 0
    await database.close()


async def _fell(database: Database, name: str) -> None:
    async with database.single() as driver:
        await driver.values(FELLED, name=name)


async def test_postgresql_is_asked_no_longer_than_it_may_take_and_the_connection_is_good_afterwards(
    postgres: Postgres,
):
    database = Database(postgres.database("garden").url, source="garden", pool_size=1)
    slow = Fixed(sa.select(sa.func.pg_sleep(5).label("slept"), sa.literal_column("1").label("one")))
    with pytest.raises(TookTooLong):
        async with database.reader(longest=timedelta(milliseconds=20)) as reader:
            await reader.rows(slow)
    for longest in (None, timedelta(seconds=20), timedelta(seconds=20)):
        async with database.reader(longest=longest) as reader:
            [row] = await reader.rows(Fixed(sa.select(sa.literal_column("1").label("one"))))
        assert row.one == 1
    await database.close()


async def test_a_server_that_opens_no_connection_now_is_away_to_what_reads_and_what_writes_by_the_driver(
    postgres: Postgres,
):
    own = postgres.database("garden")
    # As while it starts again after a crash: it answers, and refuses.
    postgres.sql(f"ALTER ROLE {own.user} CONNECTION LIMIT 0")
    database = Database(own.url, source="garden")
    for opened in (database.reader, database.single):
        with pytest.raises(sa.exc.DBAPIError) as raised:
            async with opened():
                pass
        assert is_away(raised.value), raised.value
    await database.close()


async def test_a_connection_that_the_server_has_ended_is_not_given_out(postgres: Postgres):
    database = Database(postgres.database("garden").url, source="garden", pool_size=1)
    one = Fixed(sa.select(sa.literal_column("1").label("one")))
    for read in range(3):
        async with database.reader() as reader:
            assert [row.one for row in await reader.rows(one)] == [1], read
        async with database.read() as session:
            assert await session.scalar(sa.text("SELECT 1")) == 1
        name = database.url.database
        postgres.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        # The news of it is on its way.
        await anyio.sleep(0.5)
    await database.close()


async def test_what_readers_keep_at_hand_leaves_sessions_the_rest_of_the_pool(postgres: Postgres):
    database = Database(postgres.database("garden").url, source="garden", pool_size=2)
    which = Fixed(sa.select(sa.func.pg_backend_pid().label("process")))

    async def read_at_once(count: int) -> set[int]:
        async with AsyncExitStack() as opened:
            readers = [await opened.enter_async_context(database.reader()) for _ in range(count)]
            return {row.process for reader in readers for row in await reader.rows(which)}

    assert len(await read_at_once(4)) == 4
    [at_hand] = await read_at_once(1)
    async with AsyncExitStack() as opened:
        for _ in range(3):
            session = await opened.enter_async_context(database.read())
            assert await session.scalar(sa.text("SELECT pg_backend_pid()")) != at_hand
        assert await read_at_once(1) == {at_hand}
    await database.close()


@pytest.mark.parametrize("longest", [None, timedelta(seconds=20)])
async def test_more_readers_than_there_are_connections_all_get_one_in_turn(
    postgres: Postgres, longest: timedelta | None
):
    database = Database(postgres.database("garden").url, source="garden", pool_size=1)
    one = Fixed(sa.select(sa.literal_column("1").label("one")))
    answers: list[int] = []

    async def ask() -> None:
        for _ in range(3):
            async with database.reader(longest=longest) as reader:
                answers.extend([row.one for row in await reader.rows(one)])

    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(ask)
    assert answers == [1] * 18
    await database.close()


async def test_a_connection_that_has_rested_for_long_goes_by_the_pool(postgres: Postgres):
    database = Database(postgres.database("garden").url, source="garden")
    at_hand = AtHand(database.engine, most=1, fresh=0)
    one = Fixed(sa.select(sa.literal_column("1").label("one")))
    taken: list[int] = []
    sa.event.listen(database.engine.sync_engine.pool, "checkout", lambda *_: taken.append(1))
    for _ in range(3):
        async with at_hand.reader() as reader:
            assert [row.one for row in await reader.rows(one)] == [1]
    assert len(taken) == 3
    at_hand.close()
    await database.close()
