"""What every test shares."""

import pytest

pytest_plugins = [
    "tests.servers.tls",
    "tests.servers.pebble",
    "tests.servers.bind",
    "tests.servers.ssh",
    "tests.servers.nginx",
    "tests.servers.smtp",
    "tests.servers.webhook",
]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio."""
    return "asyncio"
