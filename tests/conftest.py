"""What every test shares."""

from typing import Any

import pytest
from hypothesis import settings

from tests.distribution import ByFile

# Machines are noisy: no test fails for being slow once.
settings.register_profile("everleaf", deadline=None)
settings.load_profile("everleaf")

pytest_plugins = [
    "tests.servers.postgres",
    "tests.servers.stores",
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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Take our own way of dealing tests out to processes."""
    return ByFile(config, log)
