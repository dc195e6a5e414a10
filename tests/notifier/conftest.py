"""A notifier on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shared.store import Database
from tests.notifier.workshop import Workshop
from tests.servers.stores import Stores


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, stores: Stores, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated database, once of each kind."""
    with stores.copy("notifier", request.param, tmp_path) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database of each kind, opened."""
    opened = Database(database_url, source="notifier")
    yield opened
    await opened.close()


@pytest.fixture
async def shop(database: Database) -> Workshop:
    """A notifier over each kind of database."""
    return await Workshop(database).set_up()


@pytest.fixture
async def small_shop(stores: Stores, tmp_path: Path) -> AsyncIterator[Workshop]:
    """A notifier over SQLite, where the database makes no difference."""
    with stores.copy("notifier", "sqlite", tmp_path) as url:
        opened = Database(url, source="notifier")
        yield await Workshop(opened).set_up()
        await opened.close()
