"""The actions, on hosts that change their certificate at once."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from services.provisioner import store
from services.provisioner.connectors import wire
from shared.store import Database
from tests.provisioner.conftest import endpoint, known, slot
from tests.provisioner.ssh_host import SshHost
from tests.provisioner.workshop import Workshop
from tests.servers.tls import Issued


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to wait for."""
    monkeypatch.setattr(wire, "_PAUSE", 0.002)


BOTH = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
"""For what asks the database something of its own; the rest is tried on SQLite."""


@pytest.fixture
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database."""
    url = f"sqlite:///{tmp_path}/provisioner.db"
    if getattr(request, "param", "sqlite") == "postgresql":
        url = request.getfixturevalue("postgres").database().url
    opened = Database(url, source="provisioner")
    yield opened
    await opened.close()


@pytest.fixture
async def hosts(tmp_path: Path, old: Issued) -> AsyncIterator[list[SshHost]]:
    """Four hosts that serve the old certificate."""
    async with AsyncExitStack() as running:
        started = []
        for name in "abcd":
            certificate, key = old.write(tmp_path / name)
            started.append(await running.enter_async_context(SshHost(certificate, key).running()))
        yield started


async def bound(shop: Workshop, hosts: list[SshHost], **given: Any) -> list[store.Binding]:
    """Bind the lineage to every host, in their order."""
    made = []
    for host in hosts:
        target = await known(shop, host, f"web-{host.port}")
        made.append(await shop.bind(target, slot=slot(host), endpoints=[endpoint(host)], **given))
    return made


def serving(hosts: list[SshHost], issued: Issued) -> list[bool]:
    """Return which hosts have a certificate in place."""
    return [host.certificate.read_bytes() == issued.chain_pem for host in hosts]


def fails_to_reload(host: SshHost) -> None:
    """Let the server refuse to read its files again."""

    def refuse() -> None:
        raise OSError

    host.reload = refuse  # type: ignore[method-assign] # this one host is broken, and not its kind


def reloads_again(host: SshHost) -> None:
    """Let the server be as others."""
    del host.reload
