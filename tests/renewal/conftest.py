"""Renewal on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shared.store import Database
from tests.renewal.workshop import Workshop, take_scripted
from tests.servers.stores import Stores


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, stores: Stores, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated database, once of each kind."""
    with stores.copy("renewal", request.param, tmp_path) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database of each kind, opened."""
    opened = Database(database_url, source="renewal")
    yield opened
    await opened.close()


@pytest.fixture
async def shop(database: Database, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """Renewal over each kind of database."""
    take_scripted(monkeypatch)
    return await Workshop(database).set_up()


@pytest.fixture
async def small_shop(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Workshop]:
    """Renewal over SQLite, where the database makes no difference."""
    take_scripted(monkeypatch)
    with stores.copy("renewal", "sqlite", tmp_path) as url:
        opened = Database(url, source="renewal")
        yield await Workshop(opened).set_up()
        await opened.close()
