"""A notifier on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.store import Database
from tests.notifier.workshop import Workshop


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/notifier.db"
    url: str = request.getfixturevalue("postgres").database("notifier").url
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An empty database of each kind, opened."""
    opened = Database(database_url, source="notifier")
    yield opened
    await opened.close()


@pytest.fixture
async def shop(database: Database) -> Workshop:
    """A notifier over each kind of database."""
    return await Workshop(database).set_up()


@pytest.fixture
async def small_shop(tmp_path: Path) -> AsyncIterator[Workshop]:
    """A notifier over SQLite, where the database makes no difference."""
    opened = Database(f"sqlite:///{tmp_path}/notifier.db", source="notifier")
    yield await Workshop(opened).set_up()
    await opened.close()
