"""Discoveries on either database."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from services.discovery.service import build
from shared.bus.sqlite import SqliteBus
from shared.service import Service
from shared.store import Database
from tests.builders import bearer, surroundings
from tests.servers.stores import Stores


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, stores: Stores, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated database, once of each kind."""
    with stores.copy("discovery", request.param, tmp_path) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database."""
    opened = Database(database_url, source="discovery")
    yield opened
    await opened.close()


@pytest.fixture
async def service(database: Database, tmp_path: Path) -> AsyncIterator[Service]:
    """The whole service over that database, its workers not running."""
    bus = SqliteBus(tmp_path / "bus.db")
    url = database.url.set(drivername=database.url.get_backend_name()).render_as_string(hide_password=False)
    made = surroundings(tmp_path, environ={"EVERLEAF_DISCOVERY_DATABASE_URL": url}, bus=bus)
    async with build(made) as opened:
        yield opened
    await bus.close()


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """An operator's client."""
    transport = httpx.ASGITransport(service.api)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://t", headers=bearer("operator")
    ) as opened:
        yield opened
