"""What every kind of target must do: the new certificate is served, or the old one is, and the report says which."""

import stat
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.provisioner import store
from services.provisioner.actions.targets import TargetChange
from services.provisioner.connectors import wire
from services.provisioner.connectors.registry import TARGETS
from services.provisioner.connectors.wire import Endpoint, Handshakes
from services.provisioner.domain import Failure, Phase, State
from shared.events.provisioner import CertificateDeployed, DeploymentFailed
from shared.ssh import Credential
from shared.store import Database
from tests.provisioner.ssh_host import SshHost
from tests.provisioner.workshop import CALLER, Workshop, workshop
from tests.servers.fault_proxy import FaultProxy, StartFaultProxy
from tests.servers.nginx import StartNginx
from tests.servers.ssh import Sshd
from tests.servers.tls import CertificateAuthority, Issued


@dataclass(kw_only=True)
class Site:
    """A host with a server whose certificate is to be replaced, and how a target is told of it."""

    kind: str
    host: str
    port: int
    username: str
    host_key: str
    client_key: str = field(repr=False)
    certificate: Path
    key: Path
    endpoint: Endpoint
    old: Issued
    options: dict[str, Any]
    replace_host_key: Callable[[], Any]

    async def target(self, shop: Workshop, **given: Any) -> store.Target:
        described = {
            "kind": self.kind,
            "host": self.host,
            "port": self.port,
            "username": self.username,
            "host_key": self.host_key,
            "credential": Credential(private_key=self.client_key),
            "options": self.options,
        }
        return await shop.target(**{**described, **given})

    async def bound(self, shop: Workshop, *, slot: dict[str, Any] | None = None, **given: Any) -> None:
        """Make the target known and bind the lineage to its slot."""
        target = await self.target(shop, **given)
        paths = {"certificate_path": str(self.certificate), "key_path": str(self.key)}
        await shop.bind(target, slot={**paths, **(slot or {})}, endpoints=[self.endpoint])

    async def served(self) -> str | None:
        return await Handshakes().served(self.endpoint)

    def in_files(self) -> str:
        """Return the fingerprint of the certificate in the files; its key is beside it, and nothing else is."""
        assert sorted(self.certificate.parent.iterdir()) == sorted([self.certificate, self.key])
        certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        assert certificate.public_key() == load_pem_private_key(self.key.read_bytes(), None).public_key()
        return next(
            issued.fingerprint for issued in (self.old, *_issued) if issued.certificate == certificate
        )


_issued: list[Issued] = []


@pytest.fixture
def new(lab_ca: CertificateAuthority) -> Issued:
    """The certificate that is to be put in place, with its intermediate."""
    issued = lab_ca.intermediate().issue("shop.test")
    _issued[:] = [issued]
    return issued


@asynccontextmanager
async def _files_site(tmp_path: Path, ca: CertificateAuthority) -> AsyncIterator[Site]:
    old = ca.issue("shop.test")
    certificate, key = old.write(tmp_path / "tls", key_mode=0o640)
    async with SshHost(certificate, key).running() as host:
        yield Site(
            kind="files",
            host=host.host,
            port=host.port,
            username=host.username,
            host_key=host.host_key,
            client_key=host.client_key,
            certificate=certificate,
            key=key,
            endpoint=Endpoint(address=host.host, port=host.tls_port, server_name="shop.test"),
            old=old,
            options={"test_command": "true", "reload_command": "reload"},
            replace_host_key=host.replace_host_key,
        )


@asynccontextmanager
async def _nginx_site(sshd: Sshd, start_nginx: StartNginx, ca: CertificateAuthority) -> AsyncIterator[Site]:
    nginx = start_nginx("other.test", "shop.test")
    site = nginx.sites[1]
    site.key.chmod(0o640)

    async def replace_host_key() -> None:
        sshd.replace_host_key()

    yield Site(
        kind="nginx",
        host=sshd.host,
        port=sshd.port,
        username=sshd.username,
        host_key=sshd.host_key,
        client_key=sshd.client_key,
        certificate=site.certificate,
        key=site.key,
        endpoint=Endpoint(address=site.address, port=site.port, server_name="shop.test"),
        old=site.issued,
        options={"test_command": nginx.test_command, "reload_command": nginx.reload_command},
        replace_host_key=replace_host_key,
    )


@pytest.fixture(params=["files", "nginx"])
async def site(
    request: pytest.FixtureRequest, tmp_path: Path, lab_ca: CertificateAuthority
) -> AsyncIterator[Site]:
    """Every kind of target, over a real server."""
    opening: AbstractAsyncContextManager[Site]
    if request.param == "files":
        opening = _files_site(tmp_path, lab_ca)
    else:
        opening = _nginx_site(request.getfixturevalue("sshd"), request.getfixturevalue("start_nginx"), lab_ca)
    async with opening as opened:
        yield opened


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Workshop]:
    """A provisioner on SQLite."""
    database = Database(f"sqlite:///{tmp_path}/provisioner.db", source="provisioner")
    try:
        async with workshop(database) as opened:
            yield opened
    finally:
        await database.close()


def test_every_kind_is_in_this_suite() -> None:
    assert {kind.kind for kind in TARGETS} == {"files", "nginx"}


async def test_a_new_certificate_is_put_in_place_and_seen_on_the_wire(
    site: Site, shop: Workshop, new: Issued
):
    await site.bound(shop)
    await shop.renew(new)
    await shop.work_off()
    await _is_deployed(site, shop, new)
    [event] = await shop.events(CertificateDeployed)
    assert (event.fingerprint, event.is_last, event.target) == (new.fingerprint, True, "web-1")
    assert [place.key for place in event.places] == [
        f"tls://{site.endpoint.address}:{site.endpoint.port}/shop.test"
    ]


async def test_owner_and_mode_stay_and_the_chain_is_there(site: Site, shop: Workshop, new: Issued):
    site.certificate.chmod(0o604)
    await site.bound(shop)
    await shop.renew(new)
    await shop.work_off()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (site.certificate, site.key)]
    assert modes == [0o604, 0o640]
    assert site.certificate.read_bytes() == new.chain_pem


async def test_the_same_certificate_again_changes_nothing(site: Site, shop: Workshop, new: Issued):
    await site.bound(shop)
    await shop.renew(new, order="first")
    await shop.work_off()
    await shop.renew(new, order="second")
    await shop.work_off()
    states = [row.state for row in await shop.deployments.page(after=None, limit=10, caller=CALLER)]
    assert states == [State.DEPLOYED, State.DEPLOYED]
    assert (await site.served(), site.in_files()) == (new.fingerprint, new.fingerprint)


async def test_a_wrong_credential_touches_nothing(site: Site, shop: Workshop, new: Issued):
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    await site.bound(shop, credential=Credential(private_key=stranger))
    await shop.renew(new)
    await shop.work_off()
    await _is_as_before(site, shop, Failure.LOGIN_REFUSED, state=State.WAITING)
    assert shop.vault.asked == []


async def test_a_changed_host_key_waits_for_a_person(site: Site, shop: Workshop, new: Issued):
    await site.bound(shop)
    await site.replace_host_key()
    await shop.renew(new)
    await shop.work_off()
    row = await _is_as_before(site, shop, Failure.HOST_KEY_CHANGED, state=State.NEEDS_ATTENTION)
    assert row.next_attempt_at is None
    [event] = await shop.events(DeploymentFailed)
    assert event.next_attempt_at is None
    assert "/v1/host-keys" in event.next_step


async def test_an_unreachable_host_is_tried_again(
    site: Site, shop: Workshop, new: Issued, fault_proxy: StartFaultProxy
):
    async with fault_proxy(site.host, site.port) as proxy:
        await site.bound(shop, port=proxy.port)
        proxy.refuse = True
        await shop.renew(new)
        await shop.work_off()
        await _is_as_before(site, shop, Failure.UNREACHABLE, state=State.WAITING)
        proxy.refuse = False
        shop.time.passes(timedelta(minutes=1))
        await shop.work_off()
        await _is_deployed(site, shop, new)


async def test_a_folder_that_may_not_be_written_changes_nothing(site: Site, shop: Workshop, new: Issued):
    # Whoever runs the tests may be root, so it is a folder that nobody may make files in.
    await site.bound(shop, slot={"certificate_path": "/proc/self/everleaf.pem"})
    await shop.renew(new)
    await shop.work_off()
    row, _ = await shop.only()
    assert row.failure in (Failure.PERMISSION_DENIED, Failure.NO_SUCH_FOLDER)
    await _is_as_before(site, shop, Failure(row.failure), state=State.WAITING)


async def test_a_configuration_that_is_broken_already_is_not_touched(site: Site, shop: Workshop, new: Issued):
    await site.bound(shop, slot={"test_command": "echo unknown directive; false"})
    await shop.renew(new)
    await shop.work_off()
    row = await _is_as_before(site, shop, Failure.TEST_FAILED, state=State.WAITING)
    assert row.failed_step == "test"
    assert "unknown directive" in (row.reason or "")


async def test_a_configuration_that_fails_with_the_new_files_is_put_back(
    site: Site, shop: Workshop, new: Issued, tmp_path: Path
):
    (tmp_path / "before").write_bytes(site.certificate.read_bytes())
    await site.bound(shop, slot={"test_command": f"cmp {tmp_path}/before {site.certificate}"})
    await shop.renew(new)
    await shop.work_off()
    row = await _is_as_before(site, shop, Failure.TEST_FAILED, state=State.RESTORED)
    assert row.failed_step == "test again"


async def test_a_reload_that_fails_is_put_back(site: Site, shop: Workshop, new: Issued):
    await site.bound(shop, slot={"reload_command": "echo no such process; exit 3"})
    await shop.renew(new)
    await shop.work_off()
    row = await _is_as_before(site, shop, Failure.RELOAD_FAILED, state=State.RESTORED)
    assert "no such process" in (row.reason or "")


async def test_a_reload_without_effect_is_seen_and_put_back(site: Site, shop: Workshop, new: Issued):
    await site.bound(shop, slot={"reload_command": "true"})
    await shop.renew(new)
    await shop.work_off()
    await _is_as_before(site, shop, Failure.STILL_OLD, state=State.RESTORED)


async def test_a_key_of_another_certificate_never_reaches_the_target(
    site: Site, shop: Workshop, new: Issued, lab_ca: CertificateAuthority
):
    other = lab_ca.issue("shop.test", kind="rsa")
    await site.bound(shop)
    await shop.renew(new, key_pem=other.key_pem)
    await shop.work_off()
    _, steps = await shop.only()
    assert "stage" not in [step.step for step in steps]
    await _is_as_before(site, shop, Failure.PAIR_MISMATCH, state=State.NEEDS_ATTENTION)


async def test_after_a_failure_the_next_attempt_succeeds(site: Site, shop: Workshop, new: Issued):
    await site.bound(shop, options={**site.options, "reload_command": "false"})
    await shop.renew(new)
    await shop.work_off()
    await _is_as_before(site, shop, Failure.RELOAD_FAILED, state=State.RESTORED)
    shop.time.passes(timedelta(minutes=1))
    row, _ = await shop.only()
    await shop.targets.change(
        row.target_id, TargetChange(options=site.options), if_match=None, caller=CALLER, now=shop.time()
    )
    await shop.work_off()
    await _is_deployed(site, shop, new)
    assert len(shop.vault.asked) == 1


async def test_a_connection_cut_at_any_point_leaves_one_or_the_other(
    site: Site,
    shop: Workshop,
    new: Issued,
    fault_proxy: StartFaultProxy,
    monkeypatch: pytest.MonkeyPatch,
):
    if site.kind == "files":  # its server has no workers that take turns after a reload
        monkeypatch.setattr(wire, "_PAUSE", 0.005)
    async with fault_proxy(site.host, site.port) as proxy:
        await site.bound(shop, port=proxy.port)
        await shop.renew(site.old, order="measured")
        await shop.work_off()
        packets = proxy.packets
        stride = 2 if site.kind == "files" else 9
        failed = 0
        for number, cut in enumerate(range(3, packets + 1, stride)):
            wanted = (new, site.old)[number % 2]
            failed += await _cut_once(site, shop, proxy, wanted=wanted, cut=cut)
        assert failed > 3


async def _cut_once(site: Site, shop: Workshop, proxy: FaultProxy, *, wanted: Issued, cut: int) -> bool:
    """Deploy over a connection that is cut once; return whether the attempt failed."""
    served_before = await site.served()
    proxy.cut_after = cut
    order = await shop.renew(wanted)
    await shop.work_off()
    proxy.cut_after = None
    [row] = await shop.deployments.page(after=None, limit=10, caller=CALLER, order_id=order)
    first_failed = row.state != State.DEPLOYED
    if first_failed:
        assert row.failure == Failure.UNREACHABLE, (cut, row)
        assert row.restored, (cut, row)
        assert await site.served() == served_before == site.in_files(), cut
    shop.time.passes(timedelta(minutes=5))
    await shop.work_off()
    row, _ = await shop.deployments.get(row.id, caller=CALLER)
    assert (row.state, row.phase) == (State.DEPLOYED, Phase.OVER), (cut, row)
    assert await site.served() == wanted.fingerprint == site.in_files(), cut
    return first_failed


async def _is_deployed(site: Site, shop: Workshop, new: Issued) -> None:
    row, steps = await shop.only()
    assert (row.state, row.phase, row.reason) == (State.DEPLOYED, Phase.OVER, None)
    assert (await site.served(), site.in_files()) == (new.fingerprint, new.fingerprint)
    assert row.sealed_key is None
    names = [step.step for step in steps if step.attempt == row.attempt + 1]
    order = [
        "connect",
        "compare keys",
        "stage",
        "test",
        "swap",
        "test again",
        "reload",
        "read back",
        "verify",
    ]
    assert [name for name in names if name != "fetch key"] == order


async def _is_as_before(site: Site, shop: Workshop, failure: Failure, *, state: State) -> store.Deployment:
    row, steps = await shop.only()
    assert (row.failure, row.state, row.restored) == (failure, state, True), row.reason
    assert (await site.served(), site.in_files()) == (site.old.fingerprint, site.old.fingerprint)
    [event] = await shop.events(DeploymentFailed)
    assert (event.restored, event.step, event.attempt) == (True, row.failed_step, 1)
    assert event.next_step
    assert any(step.step == row.failed_step and not step.ok for step in steps)
    return row
