"""What every test shares."""

import pytest
from hypothesis import settings

# Machines are noisy: no test fails for being slow once.
settings.register_profile("everleaf", deadline=None)
settings.load_profile("everleaf")

pytest_plugins = [
    "tests.servers.postgres",
    "tests.servers.rabbitmq",
    "tests.servers.tls",
    "tests.servers.pebble",
    "tests.servers.bind",
    "tests.servers.acme2certifier",
    "tests.servers.softhsm",
    "tests.servers.ssh",
    "tests.servers.nginx",
    "tests.servers.smtp",
    "tests.servers.webhook",
    "tests.servers.ct_log",
    "tests.servers.fault_proxy",
    "tests.servers.starttls",
]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio."""
    return "asyncio"
