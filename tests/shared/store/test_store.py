"""A service's database, on both kinds."""

import json
import os
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import ClassVar

import anyio
import pytest
import sqlalchemy as sa

from shared.errors import Invalid, Unavailable
from shared.events import Payload
from shared.store import Database, Instant, Json, Transaction, insert, is_away
from shared.store.plumbing import OUTBOX, PLUMBING
from shared.store.reader import Fixed
from shared.tls import client_context
from tests.servers.postgres import ACCOUNT, OwnDatabase, Postgres
from tests.servers.processes import free_port
from tests.servers.tls import LOOPBACK, CertificateAuthority

NOW = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
TABLES = sa.MetaData()
TREES = sa.Table(
    "trees",
    TABLES,
    sa.Column("name", sa.String(50), primary_key=True),
    sa.Column("planted_at", Instant),
    sa.Column("leaves", Json),
    sa.Column("height", sa.Integer),
)


PLANTED = Fixed(sa.insert(TREES).values(name=sa.bindparam("called")).returning(TREES.c.name))
GROWN = Fixed(
    sa.update(TREES)
    .where(TREES.c.name == sa.bindparam("called"))
    .values(height=sa.func.coalesce(TREES.c.height, 0) + 1)
    .returning(TREES.c.height)
)


class Storm(Exception):
    """What goes wrong in the middle of a transaction."""


class Planted(Payload):
    """A tree was planted."""

    type: ClassVar[str] = "tree.planted"
    name: str

    def subject(self) -> str:
        return self.name


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A database of each kind with a table of trees."""
    url = f"sqlite:///{tmp_path}/garden.db"
    if request.param == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.database("garden").url
    opened = Database(url, source="garden")
    async with opened.engine.begin() as connection:
        await connection.run_sync(PLUMBING.create_all)
        await connection.run_sync(TABLES.create_all)
    yield opened
    await opened.close()


async def plant(tx: Transaction, name: str) -> None:
    await tx.session.execute(sa.insert(TREES).values(name=name, planted_at=NOW))
    tx.emit(Planted(name=name), now=NOW)


async def write(database: Database, *statements: sa.Executable) -> None:
    async with database.transaction() as tx:
        for statement in statements:
            await tx.session.execute(statement)


async def kept(database: Database) -> tuple[list[str], list[str]]:
    """Return the names of the trees, and those that events tell of."""
    async with database.read() as session:
        trees = (await session.scalars(sa.select(TREES.c.name).order_by(TREES.c.name))).all()
        bodies = (await session.scalars(sa.select(OUTBOX.c.body).order_by(OUTBOX.c.id))).all()
    return list(trees), [json.loads(body)["data"]["name"] for body in bodies]


async def test_a_change_and_its_event_are_kept_together(database: Database):
    async with database.transaction() as tx:
        await plant(tx, "oak")
        assert await kept_elsewhere(database) == ([], [])
    assert await kept(database) == (["oak"], ["oak"])


async def kept_elsewhere(database: Database) -> tuple[list[str], list[str]]:
    other = Database(database.url.render_as_string(hide_password=False), source="other")
    try:
        return await kept(other)
    finally:
        await other.close()


async def test_where_the_block_raises_neither_is_kept(database: Database):
    rung = []

    async def plant_and_fail() -> None:
        async with database.transaction() as tx:
            tx.after_commit(lambda: rung.append(1))
            await plant(tx, "oak")
            raise Storm

    with pytest.raises(Storm):
        await plant_and_fail()
    assert await kept(database) == ([], [])
    assert rung == []
    assert not database.outbox_bell.is_set()


async def test_where_the_event_cannot_be_kept_neither_is_the_change(database: Database):
    async with database.engine.begin() as connection:
        await connection.execute(sa.text("DROP TABLE outbox"))
    with pytest.raises(sa.exc.DBAPIError):
        async with database.transaction() as tx:
            await plant(tx, "oak")
    async with database.read() as session:
        assert (await session.scalars(sa.select(TREES.c.name))).all() == []


async def test_what_is_driven_keeps_a_change_and_its_events_together_and_tells_who_asked(database: Database):
    rung: list[int] = []
    async with database.driven() as unit:
        unit.after_commit(lambda: rung.append(1))
        await unit.reader.values(PLANTED, called="oak")
        unit.emit(Planted(name="oak"), now=NOW)
        unit.emit(Planted(name="elm"), now=NOW)
        assert await kept_elsewhere(database) == ([], [])
        assert (rung, database.outbox_bell.is_set()) == ([], False)
    assert await kept(database) == (["oak"], ["oak", "elm"])
    assert (rung, database.outbox_bell.is_set()) == ([1], True)


async def test_of_what_is_driven_nothing_is_kept_where_it_raises_and_the_next_one_works(database: Database):
    async def plant_and_fail() -> None:
        async with database.driven() as unit:
            await unit.reader.values(PLANTED, called="oak")
            unit.emit(Planted(name="oak"), now=NOW)
            raise Storm

    for _ in range(3):
        with pytest.raises(Storm):
            await plant_and_fail()
        assert await kept(database) == ([], [])
    async with database.driven() as unit:
        await unit.reader.values(PLANTED, called="elm")
    assert await kept(database) == (["elm"], [])


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_what_is_driven_and_given_up_holds_nothing_that_others_wait_for(database: Database):
    await write(database, sa.insert(TREES).values(name="oak", planted_at=NOW))
    with anyio.move_on_after(0.2):
        async with database.driven() as unit:
            assert [tuple(row) for row in await unit.reader.values(GROWN, called="oak")] == [(1,)]
            await anyio.sleep_forever()
    with anyio.fail_after(10):
        async with database.driven() as unit:
            assert [tuple(row) for row in await unit.reader.values(GROWN, called="oak")] == [(1,)]


async def test_what_the_database_refuses_of_what_is_driven_is_no_outage(database: Database):
    await write(database, sa.insert(TREES).values(name="oak", planted_at=NOW))
    with pytest.raises(sa.exc.DBAPIError) as raised:
        async with database.driven() as unit:
            await unit.reader.values(PLANTED, called="oak")
    assert not is_away(raised.value)
    assert raised.value.hide_parameters
    assert await kept(database) == (["oak"], [])


async def test_a_savepoint_undoes_its_own_change_and_its_own_event_only(database: Database):
    async def plant_and_fail(tx: Transaction) -> None:
        async with tx.savepoint():
            await plant(tx, "elm")
            raise Storm

    async with database.transaction() as tx:
        await plant(tx, "oak")
        with pytest.raises(Storm):
            await plant_and_fail(tx)
        async with tx.savepoint():
            await plant(tx, "fir")
    assert await kept(database) == (["fir", "oak"], ["oak", "fir"])


async def test_a_broken_statement_in_a_savepoint_leaves_the_transaction_usable(database: Database):
    async with database.transaction() as tx:
        await plant(tx, "oak")
        with pytest.raises(sa.exc.IntegrityError):
            async with tx.savepoint():
                await plant(tx, "oak")
        await plant(tx, "fir")
    assert await kept(database) == (["fir", "oak"], ["oak", "fir"])


async def test_the_relay_and_whoever_asked_are_woken_after_the_commit(database: Database):
    seen = []
    async with database.transaction() as tx:
        tx.after_commit(lambda: seen.append("rung"))
        await plant(tx, "oak")
        assert seen == []
    assert seen == ["rung"]
    assert database.outbox_bell.is_set()


async def test_a_transaction_without_events_does_not_wake_the_relay(database: Database):
    async with database.transaction() as tx:
        await tx.session.execute(sa.insert(TREES).values(name="oak"))
    assert not database.outbox_bell.is_set()


@pytest.mark.parametrize(
    "statement", [sa.insert(TREES).values(name="oak"), sa.update(TREES).values(name="oak"), sa.delete(TREES)]
)
async def test_a_reading_session_refuses_to_write(database: Database, statement: sa.Executable):
    async with database.transaction() as tx:
        await plant(tx, "elm")
    with pytest.raises(RuntimeError, match="does not write"):
        async with database.read() as session:
            await session.execute(statement)
    assert await kept(database) == (["elm"], ["elm"])


async def test_an_instant_comes_back_aware_and_in_utc(database: Database):
    eastern = timezone(timedelta(hours=-5))
    async with database.transaction() as tx:
        await tx.session.execute(sa.insert(TREES).values(name="oak", planted_at=NOW.astimezone(eastern)))
        await tx.session.execute(sa.insert(TREES).values(name="elm", planted_at=None))
    async with database.read() as session:
        found = (await session.scalars(sa.select(TREES.c.planted_at).order_by(TREES.c.name))).all()
        after = await session.scalar(sa.select(TREES.c.name).where(TREES.c.planted_at >= NOW))
    assert found == [None, NOW]
    assert found[1].utcoffset() == timedelta(0)
    assert after == "oak"


async def test_a_time_without_a_zone_is_refused(database: Database):
    row = {"name": "oak", "planted_at": NOW.replace(tzinfo=None)}
    with pytest.raises(sa.exc.StatementError, match="has no time zone"):
        await write(database, sa.insert(TREES).values(row))
    assert await kept(database) == ([], [])


async def test_a_document_comes_back_as_it_was(database: Database):
    document = {"green": [1, 2.5, None, True], "ünï": {"a": "b"}}
    async with database.transaction() as tx:
        await tx.session.execute(sa.insert(TREES).values(name="oak", leaves=document))
    async with database.read() as session:
        assert await session.scalar(sa.select(TREES.c.leaves)) == document


async def test_an_insert_that_meets_its_like_may_update_it(database: Database):
    for height in (1, 2):
        async with database.transaction() as tx:
            row = insert(tx, TREES).values(name="oak", height=height)
            await tx.session.execute(
                row.on_conflict_do_update(index_elements=["name"], set_={"height": row.excluded.height})
            )
    async with database.read() as session:
        assert await session.scalar(sa.select(TREES.c.height)) == 2


async def test_fifty_writers_at_once_all_succeed(database: Database):
    async with database.transaction() as tx:
        await tx.session.execute(sa.insert(TREES).values(name="oak", height=0))

    async def grow(number: int) -> None:
        async with database.transaction() as tx:
            query = sa.select(TREES.c.height).where(TREES.c.name == "oak").with_for_update()
            height = (await tx.session.execute(query)).scalar_one()
            await anyio.sleep(0)
            await tx.session.execute(sa.update(TREES).values(height=height + 1))
            tx.emit(Planted(name=str(number)), now=NOW)

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(grow, number)
    async with database.read() as session:
        assert await session.scalar(sa.select(TREES.c.height)) == 50
        assert await session.scalar(sa.select(sa.func.count()).select_from(OUTBOX)) == 50


async def test_two_processes_may_write_to_one_database(database: Database):
    other = Database(database.url.render_as_string(hide_password=False), source="garden")

    async def plant_many(opened: Database, kind: str) -> None:
        for number in range(25):
            async with opened.transaction() as tx:
                await plant(tx, f"{kind} {number}")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(plant_many, database, "oak")
        tasks.start_soon(plant_many, other, "elm")
    await other.close()
    assert [len(names) for names in await kept(database)] == [50, 50]


async def test_one_may_read_while_another_writes(database: Database):
    async with database.transaction() as tx:
        await plant(tx, "oak")
        with anyio.fail_after(60):
            assert await kept(database) == ([], [])


async def test_the_error_of_a_statement_does_not_show_its_values(database: Database):
    twice = sa.insert(TREES).values(name="oak", leaves={"password": "sesame"})
    with pytest.raises(sa.exc.DBAPIError) as raised:
        await write(database, twice, twice)
    assert "sesame" not in str(raised.value)
    assert not is_away(raised.value)


async def test_a_database_that_answers_is_ready(database: Database):
    await database.ready()


@pytest.mark.parametrize("url", ["mysql://a@b/c", "rubbish", "", "postgresql"])
def test_a_url_of_something_else_is_refused_without_quoting_it(url: str):
    with pytest.raises(Invalid, match="database URL is neither") as raised:
        Database(url, source="garden")
    assert not url or url not in raised.value.detail.split("neither")[0]


# PostgreSQL only: what goes away, passwords and TLS


async def test_a_password_from_its_own_setting_is_used(postgres: Postgres):
    own = postgres.database("garden")
    url = f"postgresql://{own.user}@127.0.0.1:{own.port}/{own.name}"
    database = Database(url, source="garden", password=own.password)
    await database.ready()
    assert own.password not in repr(database.url)
    await database.close()


async def test_a_wrong_password_is_not_ready_and_not_shown(postgres: Postgres):
    own = postgres.database("garden")
    database = Database(own.url, source="garden", password="sesame")
    with pytest.raises(Unavailable) as raised:
        await database.ready()
    assert "sesame" not in str(raised.value)
    await database.close()


async def test_a_server_that_is_away_is_unavailable():
    database = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/none", source="garden")
    with pytest.raises(Unavailable, match="database of garden does not answer"):
        await database.ready()
    with pytest.raises(OSError) as raised:
        await write(database, sa.text("SELECT 1"))
    assert is_away(raised.value)
    await database.close()


async def test_a_connection_cut_in_the_middle_is_an_outage_and_the_next_transaction_works(postgres: Postgres):
    database = Database(postgres.database("garden").url, source="garden")

    async def be_cut_off() -> None:
        async with database.transaction() as tx:
            process = await tx.session.scalar(sa.text("SELECT pg_backend_pid()"))
            await anyio.to_thread.run_sync(postgres.sql, f"SELECT pg_terminate_backend({process})")
            await tx.session.execute(sa.text("SELECT 1"))

    with pytest.raises(sa.exc.DBAPIError) as raised:
        await be_cut_off()
    assert is_away(raised.value)
    await database.ready()
    await database.close()


async def test_too_many_connections_is_an_outage(postgres: Postgres):
    own = postgres.database("garden")
    postgres.sql(f"ALTER ROLE {own.user} CONNECTION LIMIT 1")
    first, second = Database(own.url, source="garden"), Database(own.url, source="garden")
    async with first.transaction() as tx:
        await tx.session.execute(sa.text("SELECT 1"))
        with pytest.raises(sa.exc.DBAPIError) as raised:
            async with second.read() as session:
                await session.execute(sa.text("SELECT 1"))
    assert is_away(raised.value)
    await first.close()
    await second.close()


async def test_a_mistake_of_ours_is_not_an_outage(postgres: Postgres):
    database = Database(postgres.database("garden").url, source="garden")
    for statement in ("SELECT * FROM nowhere", "SELECT 1/0", "rubbish"):
        with pytest.raises(sa.exc.DBAPIError) as raised:
            async with database.read() as session:
                await session.execute(sa.text(statement))
        assert not is_away(raised.value)
    await database.close()


@pytest.fixture(scope="module")
def postgres_tls() -> Iterator[tuple[Postgres, CertificateAuthority]]:
    """A cluster that speaks TLS, and the authority its certificate comes from."""
    authority = CertificateAuthority("Database root")
    with tempfile.TemporaryDirectory(prefix="everleaf-postgres-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o711)
        files = authority.issue(*LOOPBACK).write(home / "tls")
        if os.getuid() == 0:
            for path in (home / "tls", *files):
                shutil.chown(path, ACCOUNT)
        server = Postgres(home / "cluster", tls=files)
        server.create()
        server.start()
        try:
            yield server, authority
        finally:
            server.stop()


async def connect(own: OwnDatabase, context: ssl.SSLContext) -> str:
    """Return the version of TLS that the database says it is spoken to with."""
    database = Database(own.url, source="garden", tls=context)
    try:
        async with database.read() as session:
            query = sa.text("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            return str(await session.scalar(query))
    finally:
        await database.close()


async def test_a_database_whose_authority_is_known_is_spoken_to_by_tls(
    postgres_tls: tuple[Postgres, CertificateAuthority], tmp_path: Path
):
    server, authority = postgres_tls
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    own = server.database("garden")
    assert await connect(own, client_context(tmp_path / "ca.pem")) == "TLSv1.3"


async def test_a_database_of_another_authority_is_not_spoken_to(
    postgres_tls: tuple[Postgres, CertificateAuthority], tmp_path: Path
):
    server, _ = postgres_tls
    (tmp_path / "ca.pem").write_bytes(CertificateAuthority("Another").pem)
    with pytest.raises(ssl.SSLCertVerificationError):
        await connect(server.database("garden"), client_context(tmp_path / "ca.pem"))


async def test_a_database_without_tls_is_not_spoken_to_where_tls_is_asked_for(
    postgres: Postgres, lab_ca_pem: Path
):
    with pytest.raises(ConnectionError):
        await connect(postgres.database("garden"), client_context(lab_ca_pem))
