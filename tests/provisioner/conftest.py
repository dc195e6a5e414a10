"""A host in this process, and provisioners on either database to work on it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.provisioner import store
from services.provisioner.connectors.wire import Endpoint
from shared.ssh import Credential
from shared.store import Database
from tests.provisioner.ssh_host import SshHost
from tests.provisioner.workshop import Workshop, workshop
from tests.servers.stores import Stores
from tests.servers.tls import CertificateAuthority, Issued


@pytest.fixture
def old(lab_ca: CertificateAuthority) -> Issued:
    """The certificate that is in place at first."""
    return lab_ca.issue("shop.test")


@pytest.fixture
def new(lab_ca: CertificateAuthority) -> Issued:
    """The certificate that is to be put in place."""
    return lab_ca.intermediate().issue("shop.test")


@pytest.fixture
async def host(tmp_path: Path, old: Issued) -> AsyncIterator[SshHost]:
    """A host that serves the old certificate."""
    certificate, key = old.write(tmp_path / "tls")
    async with SshHost(certificate, key).running() as running:
        yield running


@pytest.fixture
async def database(stores: Stores, tmp_path: Path) -> AsyncIterator[Database]:
    """A migrated database."""
    with stores.copy("provisioner", "sqlite", tmp_path) as url:
        opened = Database(url, source="provisioner")
        yield opened
        await opened.close()


@pytest.fixture
async def shop(database: Database) -> AsyncIterator[Workshop]:
    """A provisioner over the database."""
    async with workshop(database) as opened:
        yield opened


@pytest.fixture
async def target(shop: Workshop, host: SshHost) -> store.Target:
    """The host, made known."""
    return await known(shop, host)


async def known(shop: Workshop, host: SshHost, name: str = "web-1") -> store.Target:
    """Make a host known as a target."""
    return await shop.target(
        name,
        host=host.host,
        port=host.port,
        username=host.username,
        host_key=host.host_key,
        credential=Credential(private_key=host.client_key),
        options={"test_command": "true", "reload_command": "reload"},
    )


def slot(host: SshHost) -> dict[str, str]:
    """Return the slot that the host serves from."""
    return {"certificate_path": str(host.certificate), "key_path": str(host.key)}


def endpoint(host: SshHost) -> Endpoint:
    """Return where the host serves."""
    return Endpoint(address=host.host, port=host.tls_port, server_name="shop.test")
