"""One estate for all tests here: building five services takes longer than asking them."""

from collections.abc import AsyncIterator

import pytest

from tests.access.estate import Estate, running


@pytest.fixture(scope="session")
async def estate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Estate]:
    """The five services, empty at first."""
    async with running(tmp_path_factory.mktemp("estate")) as opened:
        yield opened
