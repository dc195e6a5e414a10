"""The receiver that `each` asks for, and a notifier."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shared.store import Database
from tests.conformance.channels import ROWS
from tests.conformance.channels.bench import Receiver
from tests.notifier.workshop import Workshop


@pytest.fixture
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Receiver]:
    """One receiver, by its name in the table."""
    with ROWS[request.param].open(request.getfixturevalue, tmp_path) as opened:
        yield opened


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Workshop]:
    """A notifier."""
    database = Database(f"sqlite:///{tmp_path}/notifier.db", source="notifier")
    yield await Workshop(database).set_up()
    await database.close()
