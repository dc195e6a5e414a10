"""What was enrolled before there were schedules has one afterwards, and inventory is asked for its certificate."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command

from services.renewal import store
from services.renewal.domain.schedule import Reason
from services.renewal.service import SCHEMA
from shared.clock import utc_now
from shared.store import Database, Instant
from tests.servers.stores import Stores


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, stores: Stores, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database of each kind."""
    opened = Database(stores.empty(request.param, tmp_path), source="renewal")
    yield opened
    await opened.close()


def _to(revision: str):
    def upgrade(connection: sa.Connection) -> None:
        command.upgrade(SCHEMA._config(connection), revision)

    return upgrade


async def test_what_is_enrolled_already_is_scheduled_and_the_way_back_is_open(database: Database) -> None:
    now = utc_now()
    async with database.engine.begin() as connection:
        await connection.run_sync(_to("0003"))
        for statement in (
            (
                "INSERT INTO authorities (id, name, kind, options, secrets, private, roots, groups, created_at, created_by)"
                " VALUES ('a', 'house', 'builtin', '{}', '', '', '[]', '[]', :now, 'x')"
            ),
            (
                "INSERT INTO profiles"
                " (id, name, authority_id, key_type, lifetime, allowed_names, groups, created_at, created_by)"
                " VALUES ('p', 'web', 'a', 'ecdsa-p256', 90, '[]', '[]', :now, 'x')"
            ),
            (
                "INSERT INTO enrolments (lineage_id, profile_id, created_at, created_by, updated_at)"
                " VALUES ('lineage', 'p', :now, 'x', :now)"
            ),
        ):
            at = sa.bindparam("now", now, type_=Instant)
            await connection.execute(sa.text(statement).bindparams(at))
        await connection.run_sync(_to("head"))
    async with database.read() as session:
        [row] = (await session.scalars(sa.select(store.Schedule))).all()
        [profile] = (await session.scalars(sa.select(store.Profile))).all()
    assert (row.lineage_id, row.renew_at, row.reason) == ("lineage", store.NEVER, Reason.UNKNOWN)
    assert row.ask_at == now
    assert (profile.key_custody, profile.version, profile.approver_groups) == ("central", 1, [])
    async with database.engine.begin() as connection:
        await connection.run_sync(lambda each: command.downgrade(SCHEMA._config(each), "0003"))
        await connection.run_sync(_to("head"))
    assert await SCHEMA.differences(database) == []
