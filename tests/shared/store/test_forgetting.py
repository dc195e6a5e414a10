"""A store after the loss of its key-encryption key, and a store that PostgreSQL's own tools have brought back."""

import subprocess

import sqlalchemy as sa

from services.renewal.service import SCHEMA
from shared.clock import utc_now
from shared.sealing import Sealer
from shared.store import Auditing, Database
from shared.store.forgetting import forget_unreadable, unreadable
from shared.store.plumbing import OUTBOX
from shared.store.rewrapping import counts
from tests.servers.postgres import Postgres, binaries
from tests.shared.store.test_rewrapping import NEW, OLD, database_url, filled, opened

__all__ = ["database_url"]  # a fixture, for both kinds of database


async def test_what_no_key_opens_is_emptied_and_recorded_and_what_one_opens_is_left(
    database_url: str,
) -> None:
    await (await filled(database_url, 20)).close()
    database = Database(database_url, source="renewal", auditing=Auditing(tables={}, clock=utc_now))
    both, new = Sealer([NEW, OLD]), Sealer([NEW])
    assert await unreadable(database, SCHEMA, both) == await forget_unreadable(database, SCHEMA, both) == []
    assert await opened(database, both) == 38
    expected = {"authorities.secrets": 20, "authorities.private": 18}
    assert {each.column: each.count for each in await unreadable(database, SCHEMA, new)} == expected
    assert await opened(database, both) == 38
    forgotten = await forget_unreadable(database, SCHEMA, new)
    assert {each.column: each.count for each in forgotten} == expected
    assert not any(each.is_made_anew for each in forgotten)
    assert await counts(database, SCHEMA.metadata) == {}
    async with database.read() as session:
        told = [bytes(body) for body in await session.scalars(sa.select(OUTBOX.c.body))]
    assert sum(b'"secrets"' in body and b"forgotten" in body for body in told) == 2
    await database.close()


async def test_a_dump_of_postgresql_brings_back_every_secret(postgres: Postgres) -> None:
    before, after = postgres.database("dumped"), postgres.database("restored")
    await (await filled(before.url, 20)).close()
    tools = binaries()
    dump = subprocess.run(
        [tools / "pg_dump", "--format=custom", f"--dbname={before.url}"], capture_output=True, check=True
    )
    subprocess.run(
        [tools / "pg_restore", "--exit-on-error", "--no-owner", f"--dbname={after.url}"],
        input=dump.stdout,
        check=True,
    )
    database = Database(after.url, source="renewal")
    await SCHEMA.require_current(database)
    assert await opened(database, Sealer([OLD])) == 38
    await database.close()
