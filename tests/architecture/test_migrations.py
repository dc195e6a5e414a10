"""What a service's migrations make is what its code expects, on both kinds of database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.program import service_module
from shared.store import Database
from tests.architecture.tree import SERVICES
from tests.servers.stores import Stores


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, stores: Stores, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database of each kind."""
    opened = Database(stores.empty(request.param, tmp_path), source="migrated")
    yield opened
    await opened.close()


@pytest.mark.parametrize("name", SERVICES)
async def test_the_migrations_make_the_tables_of_the_code(name: str, database: Database):
    schema = service_module(name).SCHEMA
    await schema.upgrade(database)
    assert await schema.differences(database) == []
