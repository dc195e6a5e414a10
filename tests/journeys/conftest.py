"""The platform in both shapes, and an estate of real servers around it."""

import base64
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.journeys.estate import Estate
from tests.journeys.platforms import SERVICES, Embedded, Platform, Production
from tests.servers.nginx import StartNginx
from tests.servers.postgres import OwnDatabase, Postgres
from tests.servers.rabbitmq import RabbitMQ, Vhost
from tests.servers.smtp import Smtp
from tests.servers.ssh import Sshd
from tests.servers.webhook import Webhook


@pytest.fixture
def databases(postgres: Postgres) -> dict[str, OwnDatabase]:
    """A database with a user of its own for each service."""
    return {name: postgres.database(name) for name in SERVICES}


@pytest.fixture
def vhost(rabbitmq: RabbitMQ) -> Vhost:
    """A virtual host of the broker."""
    return rabbitmq.vhost("journey")


StartPlatform = Callable[..., Platform]


@pytest.fixture
def start_platform(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StartPlatform]:
    """Start the platform: `start_platform("embedded" or "production", EVERLEAF_…="…")`."""
    with ExitStack() as running:

        def start(shape: str, **environ: str) -> Platform:
            platform = _make(shape, request, tmp_path / shape, environ)
            running.callback(platform.stop)
            platform.start()
            return platform

        yield start


def _make(shape: str, request: pytest.FixtureRequest, directory: Path, environ: dict[str, str]) -> Platform:
    directory.mkdir()
    if shape == "embedded":
        return Embedded(directory, environ=environ)
    databases: dict[str, OwnDatabase] = request.getfixturevalue("databases")
    vhost: Vhost = request.getfixturevalue("vhost")
    environ |= {f"EVERLEAF_{name.upper()}_DATABASE_URL": db.url for name, db in databases.items()}
    return Production(directory, environ={"EVERLEAF_BUS_URL": vhost.url, **environ})


@pytest.fixture
def estate(start_nginx: StartNginx, sshd: Sshd, smtp: Smtp, webhook: Webhook) -> Estate:
    """A web server behind SSH, a mail server, and a receiver of webhooks."""
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    return Estate(nginx=start_nginx("www.example.test"), sshd=sshd, smtp=smtp, webhook=webhook, secret=secret)
