"""What each product's configuration uses is read, proposed ready, accepted with one call, put in place, and seen on the wire.

The commands are those that proposals name. `systemctl` does here what the service of Debian's package does, to the
server that was started for the test.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from services.discovery.actions.source_runs import held
from services.discovery.connectors import Access
from services.discovery.connectors.linux import LinuxCredential, LinuxHost, LinuxSettings
from services.discovery.domain.holdings import Holding, with_names
from services.provisioner.actions.proposals import Acceptance, Asked, HostTarget, Proposals
from services.provisioner.connectors.file_slots import FilesSlot
from services.provisioner.connectors.inventory import Inventory
from services.provisioner.connectors.wire import Endpoint, Handshakes
from shared import x509
from shared.events import Event
from shared.events.discovery import CertificateFound, Place
from shared.store import Database
from tests.provisioner.workshop import CALLER, Workshop, workshop
from tests.servers.apache import Apache
from tests.servers.caddy import Caddy
from tests.servers.dovecot import Dovecot
from tests.servers.haproxy import HaProxy
from tests.servers.nginx import Nginx
from tests.servers.postfix import Postfix
from tests.servers.postgres import ACCOUNT, Postgres
from tests.servers.processes import SEARCH_PATH, free_port
from tests.servers.ssh import Sshd
from tests.servers.stunnel import Stunnel
from tests.servers.tls import CertificateAuthority
from tests.servers.tomcat import Tomcat

NAME = "shop.test"
SYSTEMCTL = "systemctl"


@dataclass(frozen=True, kw_only=True)
class Served:
    """A product that serves `NAME`: where its configuration begins, where it listens, and what comes before TLS."""

    start: Path
    port: int
    starttls: str | None = None
    name: str | None = NAME
    restart: Callable[[], None] | None = None
    """What its service does when it is restarted."""


class Stage:
    """A folder for the product, the programs that stand before the host's own, and what ends with the test."""

    def __init__(self, folder: Path, *, ca: CertificateAuthority, running: ExitStack) -> None:
        self.folder = folder
        self.ca = ca
        self.issued = ca.intermediate().issue(NAME)
        self.programs = folder / "programs"
        self.programs.mkdir()
        self.asked_to_restart = folder / "restart"
        self._running = running

    def runs(self, server: object) -> None:
        """Start a server, and stop it at the end."""
        self._running.callback(server.stop)  # type: ignore[attr-defined]
        server.start()  # type: ignore[attr-defined]

    def program(self, name: str, text: str) -> None:
        """Put a program before the host's own of this name."""
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def service(self, action: str, name: str, text: str) -> None:
        """Let `systemctl` know this action of this service only."""
        self.program(SYSTEMCTL, f'[ "$*" = "{action} {name}" ] || exit 5\n{text}')


def nginx(stage: Stage) -> Served:
    server = Nginx(stage.folder / "nginx", ca=stage.ca)
    server.add_site(NAME)
    stage.runs(server)
    return Served(start=server.directory / "nginx.conf", port=server.port)


def apache_with_a_chain_file(stage: Stage) -> Served:
    server = Apache(stage.folder / "apache", ca=stage.ca.intermediate())
    server.write(NAME, chain="chain.pem")
    # As Debian's and everybody else's apachectl does with what it does not know itself.
    stage.program("apachectl", 'exec apache2 "$@"')
    stage.runs(server)
    return Served(start=server.start_file, port=server.port)


def haproxy(stage: Stage) -> Served:
    server = HaProxy(stage.folder / "haproxy", ca=stage.ca)
    server.write(NAME)
    stage.runs(server)
    stage.service("reload", "haproxy", f"kill -USR2 {server.pid}")
    return Served(start=server.start_file, port=server.port)


class CombinedPostfix(Postfix):
    is_combined = True


def postfix_with_one_file(stage: Stage) -> Served:
    server = CombinedPostfix(_folder(stage, "postfix"), tls=stage.issued)
    stage.runs(server)
    return Served(start=server._directory / "main.cf", port=server.port, starttls="smtp", name=None)


def dovecot(stage: Stage) -> Served:
    server = Dovecot(_folder(stage, "dovecot"), tls=stage.issued)
    stage.runs(server)
    return Served(start=server._directory / "dovecot.conf", port=server.imap_port, starttls="imap", name=None)


def postgresql(stage: Stage) -> Served:
    folder = _folder(stage, "postgres")
    server = Postgres(folder / "cluster")
    server.create()
    certificate, key = stage.issued.write(folder / "tls")
    for path in (certificate, key):
        shutil.chown(path, ACCOUNT)
    start = folder / "cluster" / "data" / "postgresql.conf"
    with start.open("a") as configuration:
        configuration.write(
            f"port = {server.port}\nlisten_addresses = '127.0.0.1'\nssl = on\n"
            f"ssl_cert_file = '{certificate}'\nssl_key_file = '{key}'\n"
        )
    stage.runs(server)
    return Served(start=start, port=server.port, starttls="postgres", name=None)


def stunnel(stage: Stage) -> Served:
    server = Stunnel(stage.folder / "stunnel", ca=stage.ca)
    server.write(NAME)
    stage.runs(server)
    stage.service("reload", "stunnel4", f"kill -HUP {server.pid}")
    return Served(start=server.start_file, port=server.port, name=None)


def caddy(stage: Stage) -> Served:
    server = Caddy(stage.folder / "caddy", ca=stage.ca)
    server.write(NAME, admin=f"localhost:{free_port()}")
    stage.runs(server)
    return Served(start=server.start_file, port=server.port)


def tomcat_with_pkcs12(stage: Stage) -> Served:
    server = Tomcat(stage.folder / "tomcat", ca=stage.ca)
    server.write(NAME, keystores=True)
    stage.runs(server)
    stage.service("restart", "tomcat", f"touch {stage.asked_to_restart}")

    def restart() -> None:
        server.stop()
        server.start()

    return Served(start=server.start_file, port=server.port, restart=restart)


PRODUCTS: dict[str, Callable[[Stage], Served]] = {
    "nginx": nginx,
    "apache": apache_with_a_chain_file,
    "haproxy": haproxy,
    "postfix": postfix_with_one_file,
    "dovecot": dovecot,
    "postgresql": postgresql,
    "stunnel": stunnel,
    "caddy": caddy,
    "tomcat": tomcat_with_pkcs12,
}


def _folder(stage: Stage, name: str) -> Path:
    folder = stage.folder / name
    folder.mkdir()
    return folder


@pytest.fixture
def stage(lab_ca: CertificateAuthority) -> Iterator[Stage]:
    """A folder that every account may come to, with a short path: sockets are made in it."""
    with ExitStack() as running:
        folder = running.enter_context(
            tempfile.TemporaryDirectory(prefix="everleaf-slot-", ignore_cleanup_errors=True)
        )
        Path(folder).chmod(0o711)
        yield Stage(Path(folder), ca=lab_ca, running=running)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Workshop]:
    """A provisioner that is patient with what has to start."""
    database = Database(f"sqlite:///{tmp_path}/provisioner.db", source="provisioner")
    try:
        async with workshop(database, start_for=timedelta(seconds=60)) as opened:
            yield opened
    finally:
        await database.close()


@pytest.mark.parametrize("product", PRODUCTS)
async def test_a_slot_that_was_read_is_ready_and_serves_what_is_put_there(
    product: str, stage: Stage, shop: Workshop, lab_ca: CertificateAuthority
) -> None:
    served = PRODUCTS[product](stage)
    host = _host(stage)
    holding = await _read(host, product, served)
    proposals = Proposals(
        shop.database, targets=shop.targets, bindings=shop.bindings, inventory=Inventory(httpx.AsyncClient())
    )
    await _tell(shop, proposals, holding)
    [proposal] = await proposals.page(Asked(is_ready=True), after=None, limit=10, caller=CALLER)
    said = HostTarget(
        username=host.username, host_key=host.host_key, port=host.port, credential=_credential(host)
    )
    binding = await proposals.accept(
        proposal.row.id, Acceptance(target=said, lineage_id="lineage"), caller=CALLER, now=shop.time()
    )
    endpoint = Endpoint(
        address="127.0.0.1", port=served.port, server_name=served.name, starttls=served.starttls
    )
    assert endpoint in [Endpoint.model_validate(each) for each in binding.endpoints]
    before = await Handshakes().served(endpoint)
    files = {path: Path(path).stat() for path in FilesSlot.model_validate(binding.slot).paths}

    new = lab_ca.intermediate().issue(NAME)
    await shop.renew(new)
    await _work_off(shop, stage, served)

    row, steps = await shop.only()
    assert row.state == "deployed", [f"{step.step}: {step.text}" for step in steps if not step.ok]
    assert before == x509.fingerprint(holding.chain[0]) != new.fingerprint
    assert await Handshakes().served(endpoint) == new.fingerprint
    for path, was in files.items():
        now = Path(path).stat()
        assert (now.st_uid, now.st_gid, now.st_mode) == (was.st_uid, was.st_gid, was.st_mode)
        assert now.st_ino != was.st_ino, f"{path} was not replaced"


async def _work_off(shop: Workshop, stage: Stage, served: Served) -> None:
    working = asyncio.create_task(shop.work_off())
    while not working.done():
        if stage.asked_to_restart.exists() and served.restart is not None:
            stage.asked_to_restart.unlink()
            served.restart()  # here, as servers live no longer than the thread that starts them
        await asyncio.wait([working], timeout=0.05)
    await working


def _host(stage: Stage) -> Sshd:
    folder = _folder(stage, "sshd")
    server = Sshd(folder, options=[f"SetEnv PATH={stage.programs}:{SEARCH_PATH}"])
    stage.runs(server)
    return server


def _credential(host: Sshd) -> dict[str, str]:
    return {"private_key": host.client_key}


async def _read(host: Sshd, product: str, served: Served) -> Holding:
    """Read the host as a source, and return the one certificate that its configuration uses."""
    settings = LinuxSettings.model_validate(
        {
            "host": host.host,
            "port": host.port,
            "username": host.username,
            "host_key": host.host_key,
            "folders": [],
            "configurations": {product: str(served.start)},
        }
    )
    credential = LinuxCredential.model_validate({"private_key": host.client_key})
    async with LinuxHost.open(Access(settings=settings, credential=credential)) as source:
        pages = [page async for page in source.read(after=None)]
    [holding] = [holding for page in pages for holding in page.holdings]
    return with_names(holding)


async def _tell(shop: Workshop, proposals: Proposals, holding: Holding) -> None:
    found = CertificateFound(
        place=Place(kind="store", address=holding.address, path=holding.path),
        fingerprint=x509.fingerprint(holding.chain[0]),
        chain=list(holding.chain),
        observed_at=shop.time(),
        held=held(holding),
    )
    async with shop.database.transaction() as tx:
        await proposals.seen(tx, Event.of(found, source="discovery", now=shop.time()))
