"""What every test shares."""

import pytest

pytest_plugins = [
    "tests.servers.postgres",
    "tests.servers.rabbitmq",
    "tests.servers.tls",
    "tests.servers.pebble",
    "tests.servers.bind",
    "tests.servers.ssh",
    "tests.servers.nginx",
    "tests.servers.smtp",
    "tests.servers.webhook",
    "tests.servers.fault_proxy",
]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio."""
    return "asyncio"
