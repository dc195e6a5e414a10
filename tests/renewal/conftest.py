"""Renewal on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.store import Database
from tests.renewal.workshop import Workshop, take_scripted


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/renewal.db"
    url: str = request.getfixturevalue("postgres").database("renewal").url
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An empty database of each kind, opened."""
    opened = Database(database_url, source="renewal")
    yield opened
    await opened.close()


@pytest.fixture
async def shop(database: Database, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """Renewal over each kind of database."""
    take_scripted(monkeypatch)
    return await Workshop(database).set_up()


@pytest.fixture
async def small_shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Workshop]:
    """Renewal over SQLite, where the database makes no difference."""
    take_scripted(monkeypatch)
    opened = Database(f"sqlite:///{tmp_path}/renewal.db", source="renewal")
    yield await Workshop(opened).set_up()
    await opened.close()
