from collections.abc import AsyncIterator

import httpx
import pytest

from tests.shared.http.garden import garden


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A client of the garden; an error that is not answered would come through to the test."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(garden()), base_url="http://test") as made:
        yield made
