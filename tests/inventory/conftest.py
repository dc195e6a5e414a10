"""Inventories on either database."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.inventory.actions import chains, linting, revocations
from shared.apart import Unfinished
from shared.bus.sqlite import SqliteBus
from shared.store import Database
from tests.inventory.ledger import DAY, NOON, Ledger
from tests.servers.stores import Stores
from tests.servers.tls import CertificateAuthority, Issued

Issue = Callable[..., Issued]


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, stores: Stores, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated database, once of each kind."""
    with stores.copy("inventory", request.param, tmp_path) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database."""
    opened = Database(database_url, source="inventory")
    yield opened
    await opened.close()


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[SqliteBus]:
    """A bus of its own."""
    opened = SqliteBus(tmp_path / "bus.db")
    yield opened
    await opened.close()


@pytest.fixture
def ledger(database: Database, bus: SqliteBus) -> Ledger:
    """An inventory that knows nothing yet."""
    return Ledger(database, bus)


@pytest.fixture
def apart_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do in this process what is done in one of its own: starting one takes longer than most tests."""

    async def here(function: Callable[..., Any], *args: Any, within: timedelta) -> Any:
        try:
            return function(*args)
        except Exception as error:
            raise Unfinished(f"{type(error).__name__}: {error}") from error

    for module in (chains, linting, revocations):
        monkeypatch.setattr(module, "run_apart", here)


@pytest.fixture(scope="session")
def issue(lab_ca: CertificateAuthority) -> Issue:
    """Issues certificates: names, and how many days before and after `NOON` they begin and end."""

    def issue(*names: str, since: float = 1, ends_in: float = 89, at: datetime = NOON) -> Issued:
        wanted = names or ("shop.test",)
        return lab_ca.issue(*wanted, not_before=at - since * DAY, not_after=at + ends_in * DAY)

    return issue


@pytest.fixture(scope="session")
def old(issue: Issue) -> Issued:
    """A certificate that is in use, with two thirds of its life to come."""
    return issue(since=30, ends_in=60)


@pytest.fixture(scope="session")
def new(issue: Issue) -> Issued:
    """Its successor."""
    return issue(since=0, ends_in=90)
