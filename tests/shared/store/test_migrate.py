from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
import sqlalchemy as sa

from shared.errors import Conflict
from shared.store import Database, Instant
from shared.store.migrate import Schema
from shared.store.plumbing import PLUMBING
from tests.servers.postgres import Postgres

TABLES = sa.MetaData()
sa.Table(
    "trees", TABLES, sa.Column("name", sa.String(50), primary_key=True), sa.Column("planted_at", Instant)
)


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database of each kind."""
    url = f"sqlite:///{tmp_path}/garden.db"
    if request.param == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.database("garden").url
    opened = Database(url, source="garden")
    yield opened
    await opened.close()


@pytest.fixture
async def schema(tmp_path: Path) -> Schema:
    """A schema whose first migration has been written from its tables."""
    versions = tmp_path / "migrations"
    versions.mkdir()
    made = Schema(TABLES, versions)
    empty = Database(f"sqlite:///{tmp_path}/empty.db", source="garden")
    async with empty.engine.begin() as connection:
        await connection.run_sync(lambda c: made.write_revision(c, number="0001", words="create tables"))
    await empty.close()
    return made


async def tables(database: Database) -> set[str]:
    async with database.engine.connect() as connection:
        return set(await connection.run_sync(lambda c: sa.inspect(c).get_table_names()))


async def test_a_migration_is_written_from_the_tables_with_the_plumbing(schema: Schema):
    written = [path.name for path in schema.versions.glob("*.py")]
    assert written == ["0001_create_tables.py"]


async def test_an_upgrade_makes_what_the_code_expects_and_repeating_it_is_harmless(
    schema: Schema, database: Database
):
    for _ in range(2):
        await schema.upgrade(database)
        assert await schema.differences(database) == []
    assert await tables(database) == {"trees", *PLUMBING.tables, "alembic_version"}


async def test_a_table_that_the_database_does_not_have_is_a_difference(schema: Schema, database: Database):
    await schema.upgrade(database)
    grown = sa.MetaData()
    sa.Table("hedges", grown, sa.Column("name", sa.String(50), primary_key=True))
    found = await Schema(grown, schema.versions).differences(database)
    assert sorted(difference[0] for difference in found if isinstance(difference, tuple)) == [
        "add_table",
        "remove_table",
    ]


async def test_processes_that_start_together_may_all_upgrade(schema: Schema, database: Database):
    others = [Database(database.url.render_as_string(hide_password=False), source="garden") for _ in range(3)]
    async with anyio.create_task_group() as tasks:
        for each in others:
            tasks.start_soon(schema.upgrade, each)
    for each in others:
        await each.close()
    assert await schema.differences(database) == []


async def test_a_migration_that_fails_leaves_nothing_behind(schema: Schema, database: Database):
    first = schema.versions / "0001_create_tables.py"
    first.write_text(first.read_text().replace("def downgrade", "    raise RuntimeError\n\n\ndef downgrade"))
    with pytest.raises(RuntimeError):
        await schema.upgrade(database)
    assert await tables(database) == set()


async def test_a_database_is_fit_at_the_newest_version_and_beyond_it_but_not_before(
    schema: Schema, database: Database
):
    await schema.upgrade(database)
    for version, is_fit in (("0001", True), ("0002", True), ("0000", False)):
        async with database.engine.begin() as connection:
            await connection.execute(sa.text("UPDATE alembic_version SET version_num = :v"), {"v": version})
        if is_fit:
            await schema.require_current(database)
        else:
            with pytest.raises(Conflict, match="is at version 0000, this program needs 0001"):
                await schema.require_current(database)
