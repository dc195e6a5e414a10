"""Which rows are in a caller's scope, on both kinds of database."""

from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from shared.store import Database, Json
from shared.store.scopes import Scope, ToldGroups, within

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TABLES = sa.MetaData()
THINGS = sa.Table(
    "things", TABLES, sa.Column("id", sa.String(20), primary_key=True), sa.Column("groups", Json)
)
TOLD = ToldGroups(TABLES)


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A database of each kind with things in groups."""
    url = f"sqlite:///{tmp_path}/scopes.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").database("scopes").url
    opened = Database(url, source="scopes")
    async with opened.engine.begin() as connection:
        await connection.run_sync(TABLES.create_all)
    async with opened.transaction() as tx:
        rows = {"none": [], "web": ["web"], "both": ["mail", "web"], "odd": ['we"b', "we'b", "%", "web?"]}
        for name, groups in rows.items():
            await tx.session.execute(sa.insert(THINGS).values(id=name, groups=groups))
    yield opened
    await opened.close()


async def shown(database: Database, condition: sa.ColumnElement[bool]) -> set[str]:
    async with database.read() as session:
        return set((await session.scalars(sa.select(THINGS.c.id).where(condition))).all())


async def test_a_row_is_in_a_scope_that_has_one_of_its_groups_and_all_are_in_none(database: Database):
    async def seen(scope: Scope) -> set[str]:
        return await shown(database, within(THINGS.c.groups, scope))

    assert await seen(None) == {"none", "web", "both", "odd"}
    assert await seen({"web"}) == {"web", "both"}
    assert await seen({"mail", "shop"}) == {"both"}
    assert await seen({"we"}) == await seen(set[str]()) == set()
    for name in ('we"b', "we'b", "%", "web?"):
        assert await seen({name}) == {"odd"}


async def test_the_latest_word_on_a_lineage_and_a_group_holds_in_whichever_order_it_comes(database: Database):
    async def tell(*, joined: Collection[str] = (), left: Collection[str] = (), at: datetime) -> None:
        async with database.transaction() as tx:
            await TOLD.tell(tx, "web", joined=joined, left=left, at=at)

    async def seen(scope: Scope) -> set[str]:
        return await shown(database, TOLD.within(THINGS.c.id, scope))

    assert await seen(None) == {"none", "web", "both", "odd"}
    await tell(joined=["web", "odd"], at=NOON)
    assert await seen({"web"}) == {"web", "odd"}
    await tell(left=["odd"], at=NOON + 2 * MINUTE)
    await tell(joined=["odd"], at=NOON + MINUTE)
    assert await seen({"web", "mail"}) == {"web"}
    assert await seen({"mail"}) == set()
    async with database.transaction() as tx:
        await TOLD.add(tx, "odd", ["mail"], at=NOON)
        await TOLD.replace(tx, "web", ["mail", "shop"], at=NOON + MINUTE)
        assert await TOLD.of(tx.session, "web") == {"mail", "shop"}
        assert await TOLD.of_each(tx.session, ["web", "odd", "none"]) == {
            "web": {"mail", "shop"},
            "odd": {"mail"},
            "none": frozenset(),
        }
    assert await seen({"web"}) == set()
    assert await seen({"mail"}) == {"web", "odd"}
