"""Many rows at once, on both kinds of database."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import registry

from shared.store import Database, Instant, Json
from shared.store.bulk import add_missing, copy_rows, delete_rows
from shared.store.parameters import among

NOW = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
MAPPED = registry()
TABLES = sa.MetaData()


class Leaf:
    """A leaf of a tree."""

    tree: Any
    name: Any


MAPPED.map_imperatively(
    Leaf,
    sa.Table(
        "leaves",
        TABLES,
        sa.Column("tree", sa.String(20), primary_key=True),
        sa.Column("name", sa.String(20), primary_key=True),
        sa.Column("seen_at", Instant),
        sa.Column("veins", Json),
        sa.Column("sap", sa.LargeBinary),
        sa.Column("is_green", sa.Boolean),
    ),
)
LEAF = {
    "tree": "oak",
    "name": "a",
    "seen_at": NOW,
    "veins": ["x", {"y": 1}],
    "sap": b"\0\1",
    "is_green": True,
}


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A database of each kind with a table of leaves."""
    url = f"sqlite:///{tmp_path}/garden.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").database("garden").url
    opened = Database(url, source="garden")
    async with opened.engine.begin() as connection:
        await connection.run_sync(TABLES.create_all)
    yield opened
    await opened.close()


async def names(database: Database) -> list[str]:
    async with database.read() as session:
        rows = await session.execute(sa.select(Leaf.tree, Leaf.name).order_by(Leaf.tree, Leaf.name))
        return [f"{tree} {name}" for tree, name in rows.all()]


async def test_rows_are_kept_as_they_are_given_whatever_their_types(database: Database) -> None:
    empty = {**dict.fromkeys(LEAF), "tree": "elm", "name": "b"}
    async with database.transaction() as tx:
        await copy_rows(tx, Leaf, [LEAF, empty])
        await copy_rows(tx, Leaf, [])
    table = sa.inspect(Leaf).local_table
    async with database.read() as session:
        rows = (await session.execute(sa.select(table).order_by(table.c.tree.desc()))).mappings().all()
    assert [dict(row) for row in rows] == [LEAF, empty]


async def test_a_row_of_a_key_that_is_taken_is_refused_and_what_came_before_can_be_kept(
    database: Database,
) -> None:
    async with database.transaction() as tx:
        await copy_rows(tx, Leaf, [LEAF])
        with pytest.raises(sa.exc.DBAPIError):
            async with tx.savepoint():
                await copy_rows(tx, Leaf, [{**LEAF, "name": "b"}, LEAF])
        await add_missing(tx, Leaf, ("tree", "name"), [("elm", "c")])
    assert await names(database) == ["elm c", "oak a"]


async def test_rows_are_gone_with_a_transaction_that_fails(database: Database) -> None:
    async def fail() -> None:
        async with database.transaction() as tx:
            await copy_rows(tx, Leaf, [LEAF])
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await names(database) == []


async def test_what_is_missing_is_added_and_exactly_what_is_named_is_deleted(database: Database) -> None:
    every = [("oak", "a"), ("oak", "b"), ("elm", "a"), ("elm", "b")]
    async with database.transaction() as tx:
        await add_missing(tx, Leaf, ("tree", "name"), every[:2])
        await add_missing(tx, Leaf, ("tree", "name"), [*every, every[3]])
        await add_missing(tx, Leaf, ("tree", "name"), [])
        await delete_rows(tx, Leaf, ("tree", "name"), [("oak", "b"), ("elm", "a"), ("fir", "a")])
        await delete_rows(tx, Leaf, ("tree", "name"), [])
        query = sa.select(Leaf.name).where(among(tx.session, Leaf.tree, ["elm", "fir"]))
        assert (await tx.session.scalars(query)).all() == ["b"]
    assert await names(database) == ["elm b", "oak a"]
