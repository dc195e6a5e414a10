"""Keys that are made on the host: only the request leaves it, the present key stays until the bind, and nothing is left."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from services.provisioner import store
from services.provisioner.connectors import wire
from services.provisioner.connectors.keystores import pkcs12_store
from services.provisioner.connectors.wire import Handshakes
from services.provisioner.domain import Failure, State, pair
from services.provisioner.domain.key_requests import KeyState
from shared.ids import new_id
from shared.store import Database
from shared.x509 import describe_key
from tests.provisioner.conftest import endpoint, known, slot
from tests.provisioner.ssh_host import SshHost
from tests.provisioner.test_crashes import Killed, count_touches, counting
from tests.provisioner.workshop import CALLER, Workshop, workshop
from tests.servers.tls import CertificateAuthority, Issued, new_key

ORDER = "01890a5d-ac96-774b-bcce-b302099a8057"
WAITING = ".everleaf-b302099a8057.key"
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """This host changes its certificate at once, so there is nothing to wait for."""
    monkeypatch.setattr(wire, "_PAUSE", 0.005)


@pytest.fixture(params=["sqlite", "postgresql"])
async def both(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database, of both makes."""
    url = f"sqlite:///{tmp_path}/both.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").database().url
    opened = Database(url, source="provisioner")
    yield opened
    await opened.close()


@pytest.fixture
async def bound(shop: Workshop, host: SshHost, target: store.Target) -> store.Binding:
    """The lineage, in the slot that the host serves."""
    return await shop.bind(target, slot=slot(host), endpoints=[endpoint(host)])


def files(host: SshHost) -> set[str]:
    return {path.name for path in host.key.parent.iterdir()}


def waiting(host: SshHost) -> Path:
    return host.key.with_name(host.key.name + WAITING)


async def issued(shop: Workshop, ca: CertificateAuthority) -> Issued:
    """Have the key made, and a certificate issued for its request; the key of what is returned is not its own."""
    await shop.want_key(ORDER)
    await shop.work_off()
    csr = x509.load_pem_x509_csr(shop.vault.brought[-1][1].encode())
    return Issued(certificate=ca.sign(csr), key=new_key("ec"), issuers=ca.chain)


async def fail_for_good(shop: Workshop, order: str = ORDER) -> None:
    async with shop.database.transaction() as tx:
        await shop.key_requests.withdrawn(tx, order, at=shop.time(), now=shop.time())


@pytest.mark.parametrize(
    ("key_type", "kind"),
    [("ecdsa-p256", ("ecdsa-p256", 256)), ("rsa-2048", ("rsa", 2048)), ("ed25519", ("ed25519", 256))],
)
async def test_the_key_waits_beside_the_present_one_and_its_request_is_brought(
    shop: Workshop, host: SshHost, bound: store.Binding, key_type: str, kind: tuple[str, int]
) -> None:
    host.key.chmod(0o640)
    before = host.key.read_bytes()
    await shop.want_key(ORDER, names=["*.shop.test", "192.0.2.7", "2001:db8::1"], key_type=key_type)
    await shop.work_off()
    [(order, pem)] = shop.vault.brought
    csr = x509.load_pem_x509_csr(pem.encode())
    names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert (order, csr.is_signature_valid) == (ORDER, True)
    assert [str(name.value) for name in names] == ["*.shop.test", "192.0.2.7", "2001:db8::1"]
    assert csr.subject.rfc4514_string() == "CN=*.shop.test"
    made = load_pem_private_key(waiting(host).read_bytes(), None)
    assert made.public_key() == csr.public_key()
    assert describe_key(csr.public_key()) == kind
    assert waiting(host).stat().st_mode & 0o777 == 0o640
    assert host.key.read_bytes() == before
    assert files(host) == {"cert.pem", "key.pem", waiting(host).name}
    assert (await shop.key_request(ORDER)).state == KeyState.BROUGHT


async def test_the_waiting_key_is_bound_with_its_certificate_and_never_moves(
    shop: Workshop, host: SshHost, bound: store.Binding, lab_ca: CertificateAuthority
) -> None:
    new = await issued(shop, lab_ca)
    key, inode = waiting(host).read_bytes(), waiting(host).stat().st_ino
    await shop.renew(new, order=ORDER, key_is_on_target=True)
    await shop.work_off()
    row, steps = await shop.only()
    assert (row.state, row.sealed_key) == (State.DEPLOYED, None), row.reason
    assert shop.vault.asked == []
    assert await Handshakes().served(endpoint(host)) == new.fingerprint
    assert (host.key.read_bytes(), host.key.stat().st_ino) == (key, inode)
    assert files(host) == {"cert.pem", "key.pem"}
    assert (await shop.key_request(ORDER)).state == KeyState.OVER
    assert not any("PRIVATE" in step.text for step in steps)


async def test_a_failed_order_leaves_no_file(both: Database, host: SshHost) -> None:
    async with workshop(both) as shop:
        await shop.bind(await known(shop, host), slot=slot(host), endpoints=[endpoint(host)])
        await shop.want_key(ORDER)
        await shop.work_off()
        assert waiting(host).exists()
        await fail_for_good(shop)
        await shop.work_off()
        assert files(host) == {"cert.pem", "key.pem"}
        assert (await shop.key_request(ORDER)).state == KeyState.OVER


async def test_where_the_host_is_away_the_file_is_removed_later(
    shop: Workshop, host: SshHost, bound: store.Binding
) -> None:
    await shop.want_key(ORDER)
    await shop.work_off()
    right = host._host_key
    await host.replace_host_key()
    await fail_for_good(shop)
    await shop.work_off()
    row = await shop.key_request(ORDER)
    assert (row.state, row.attempts) == (KeyState.CLEARING, 1)
    host._server.close()
    await host._server.wait_closed()
    host._host_key = right
    await host._listen()
    shop.time.passes(HOUR)
    await shop.work_off()
    assert files(host) == {"cert.pem", "key.pem"}


async def test_an_order_that_asks_again_gets_its_key_again_and_a_late_word_of_its_end_changes_nothing(
    shop: Workshop, host: SshHost, bound: store.Binding
) -> None:
    await shop.want_key(ORDER)
    await shop.work_off()
    first, said = waiting(host).read_bytes(), shop.time()
    shop.time.passes(HOUR)
    await shop.want_key(ORDER)
    async with shop.database.transaction() as tx:
        await shop.key_requests.withdrawn(tx, ORDER, at=said, now=shop.time())
    await shop.work_off()
    assert waiting(host).read_bytes() == first
    assert len(shop.vault.brought) == 2


async def test_killed_at_any_point_the_same_key_is_found_again(
    shop: Workshop, host: SshHost, bound: store.Binding
) -> None:
    keys = set()
    for kill_at in range(1, 20):
        await shop.want_key(ORDER)
        claim = await shop.key_work.claim(now=shop.time())
        assert claim is not None
        with _Dies(kill_at) as left, suppress(_Killed):
            await shop.key_work.run(claim)
        await shop.key_work.forget_leases()
        if waiting(host).exists():
            keys.add(waiting(host).read_bytes())
        if left:
            break
        shop.time.passes(timedelta(seconds=1))
    else:
        pytest.fail("it never came to an end")
    assert kill_at > 5
    assert len(keys) == 1
    assert files(host) == {"cert.pem", "key.pem", waiting(host).name}
    csr = x509.load_pem_x509_csr(shop.vault.brought[-1][1].encode())
    assert csr.public_key() == load_pem_private_key(keys.pop(), None).public_key()


async def test_no_slot_and_several_slots_are_refused_with_what_to_do(
    shop: Workshop, host: SshHost, target: store.Target
) -> None:
    await shop.want_key(ORDER)
    await shop.work_off()
    for name in "ab":
        where = {"certificate_path": f"{host.certificate}.{name}", "key_path": f"{host.key}.{name}"}
        await shop.bind(target, slot=where, endpoints=[endpoint(host)])
    await shop.want_key("two")
    await shop.work_off()
    assert [(order, is_final) for order, _, is_final in shop.vault.refusals] == [(ORDER, True), ("two", True)]
    assert "no slot" in shop.vault.refusals[0][1]
    assert "2 slots" in shop.vault.refusals[1][1]
    assert (await shop.key_request("two")).state == KeyState.OVER
    assert files(host) == {"cert.pem", "key.pem"}


@pytest.mark.parametrize("fault", ["password", "others"])
async def test_a_keystore_that_could_not_be_made_anew_gets_no_key_and_says_why(
    shop: Workshop, host: SshHost, target: store.Target, lab_ca: CertificateAuthority, fault: str
) -> None:
    held, stranger = lab_ca.issue("shop.test"), CertificateAuthority("Strangers")
    chain = [held.certificate, *([stranger.certificate] if fault == "others" else [])]
    material = pair([each.public_bytes(Encoding.DER) for each in chain], held.key_pem)
    password = "changeit" if fault == "others" else "unknown"
    kept = host.certificate.with_name("store.p12")
    kept.write_bytes(pkcs12_store(None, alias="www", material=material, passwords=[password]))
    await shop.bind(
        target, slot={"certificate_path": str(kept), "format": "pkcs12"}, endpoints=[endpoint(host)]
    )
    await shop.want_key(ORDER)
    await shop.work_off()
    [(_, reason, is_final)] = shop.vault.refusals
    told = {"password": "No password that the target has opens", "others": "other certificates too"}
    assert (told[fault] in reason, is_final) == (True, False)
    assert files(host) == {"cert.pem", "key.pem", "store.p12"}


@pytest.mark.parametrize("key_first", [False, True])
async def test_a_key_that_shares_its_certificates_file_is_joined_with_them_on_the_host(
    shop: Workshop, host: SshHost, target: store.Target, lab_ca: CertificateAuthority, key_first: bool
) -> None:
    both = host.certificate.with_name("both.pem")
    both.write_bytes(b"what was there before")
    both.chmod(0o640)
    where = {"certificate_path": str(both), "key_first": key_first}
    # The host serves from two files: they are made of the one when it is told to.
    split = f"openssl pkey -in {both} -out {host.key} && openssl x509 -in {both} -out {host.certificate}"
    await shop.bind(
        target,
        slot={**where, "test_command": f"! grep -q PRIVATE {both} || {{ {split}; }}"},
        endpoints=[endpoint(host)],
    )
    new = await issued(shop, lab_ca)
    wait = both.with_name(both.name + WAITING)
    key = wait.read_bytes()
    await shop.renew(new, order=ORDER, key_is_on_target=True)
    await shop.work_off()
    row, _ = await shop.only()
    assert row.state == State.DEPLOYED, row.reason
    assert await Handshakes().served(endpoint(host)) == new.fingerprint
    assert both.read_bytes() == (key + new.chain_pem if key_first else new.chain_pem + key)
    assert both.stat().st_mode & 0o777 == 0o640
    assert files(host) == {"cert.pem", "key.pem", "both.pem"}
    assert shop.vault.asked == []


async def test_a_host_without_openssl_is_told_of_and_tried_again(
    shop: Workshop, host: SshHost, bound: store.Binding, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = (tmp_path / "bin").absolute()
    path.mkdir()
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(path))
        await shop.want_key(ORDER)
        await shop.work_off()
    [(_, reason, is_final)] = shop.vault.refusals
    assert ("openssl" in reason, is_final) == (True, False)
    assert shop.vault.brought == []
    shop.time.passes(HOUR)
    await shop.work_off()
    assert [order for order, _ in shop.vault.brought] == [ORDER]


async def test_an_order_that_failed_unheard_leaves_nothing_either(
    shop: Workshop, host: SshHost, bound: store.Binding
) -> None:
    shop.vault.not_waiting = "failed"
    await shop.want_key(ORDER)
    await shop.work_off()
    assert files(host) == {"cert.pem", "key.pem"}
    shop.vault.not_waiting = "issuing"
    shop.time.passes(HOUR)
    await shop.want_key("another-order-1234")
    await shop.work_off()
    assert (await shop.key_request("another-order-1234")).state == KeyState.BROUGHT


@pytest.mark.parametrize("refuses_links", [False, True])
async def test_a_certificate_that_breaks_the_server_is_put_back_and_its_key_waits_on(
    shop: Workshop, host: SshHost, target: store.Target, old: Issued, lab_ca: CertificateAuthority,
    refuses_links: bool,
) -> None:  # fmt: skip
    host.refuses_links = refuses_links
    gate = host.key.parent.parent / "gate"
    commands = {"test_command": f"test ! -e {gate} || cmp -s {gate} {host.certificate}"}
    gate.write_bytes(host.certificate.read_bytes())
    await shop.bind(target, slot={**slot(host), **commands}, endpoints=[endpoint(host)])
    new = await issued(shop, lab_ca)
    key, present = waiting(host).read_bytes(), host.key.read_bytes()
    await shop.renew(new, order=ORDER, key_is_on_target=True)
    await shop.work_off()
    row, _ = await shop.only()
    assert (row.state, row.failure, row.restored) == (State.RESTORED, Failure.TEST_FAILED, True)
    assert await Handshakes().served(endpoint(host)) == old.fingerprint
    assert (host.key.read_bytes(), waiting(host).read_bytes()) == (present, key)
    assert files(host) == {"cert.pem", "key.pem", waiting(host).name}
    gate.unlink()
    shop.time.passes(HOUR)
    await shop.work_off()
    assert (await shop.only())[0].state == State.DEPLOYED
    assert await Handshakes().served(endpoint(host)) == new.fingerprint
    assert host.key.read_bytes() == key
    assert files(host) == {"cert.pem", "key.pem"}


async def test_killed_while_it_is_put_in_place_the_pair_still_gets_there(
    shop: Workshop, host: SshHost, bound: store.Binding, lab_ca: CertificateAuthority
) -> None:
    for kill_at in range(1, 60, 4):
        order = new_id()
        await shop.want_key(order)
        await shop.work_off()
        csr = x509.load_pem_x509_csr(shop.vault.brought[-1][1].encode())
        new = Issued(certificate=lab_ca.sign(csr), key=new_key("ec"), issuers=lab_ca.chain)
        await shop.renew(new, order=order, key_is_on_target=True)
        claim = await shop.work.claim(now=shop.time())
        assert claim is not None
        with counting(kill_at) as done, suppress(Killed, BaseExceptionGroup):
            await shop.work.run(claim)
        await shop.work.forget_leases()
        await shop.work_off()
        assert await Handshakes().served(endpoint(host)) == new.fingerprint, kill_at
        key = load_pem_private_key(host.key.read_bytes(), None)
        assert key.public_key() == csr.public_key(), kill_at
        assert files(host) == {"cert.pem", "key.pem"}, kill_at
        if done.count < kill_at:
            return
    pytest.fail("it never came to an end")


async def test_a_waiting_key_that_is_another_than_the_certificates_is_never_bound(
    shop: Workshop, host: SshHost, bound: store.Binding, lab_ca: CertificateAuthority, old: Issued
) -> None:
    new = await issued(shop, lab_ca)
    waiting(host).write_bytes(lab_ca.issue("shop.test").key_pem)
    await shop.renew(new, order=ORDER, key_is_on_target=True)
    await shop.work_off()
    row, _ = await shop.only()
    assert (row.state, row.failure) == (State.NEEDS_ATTENTION, Failure.PAIR_MISMATCH)
    assert await Handshakes().served(endpoint(host)) == old.fingerprint
    waiting(host).unlink()
    await shop.deployments.retry(row.id, caller=CALLER, now=shop.time())
    await shop.work_off()
    row, _ = await shop.only()
    assert "There is no key" in (row.reason or "")
    assert files(host) == {"cert.pem", "key.pem"}


async def test_a_newer_certificate_in_place_and_a_binding_taken_back_leave_no_waiting_key(
    shop: Workshop, host: SshHost, bound: store.Binding, new: Issued
) -> None:
    await shop.want_key(ORDER)
    await shop.work_off()
    shop.time.passes(HOUR)
    await shop.renew(new)
    await shop.work_off()
    await shop.work_off()
    assert files(host) == {"cert.pem", "key.pem"}
    await shop.want_key("another-order-1234")
    await shop.work_off()
    assert len(files(host)) == 3
    await shop.bindings.delete(bound.id, caller=CALLER, now=shop.time())
    await shop.work_off()
    assert files(host) == {"cert.pem", "key.pem"}


class _Killed(BaseException):
    """No handler of ours catches it."""


class _Dies:
    """Kills before the nth thing that is done on the host; then says whether it came to the end."""

    def __init__(self, kill_at: int) -> None:
        self._left = kill_at
        self._patch = pytest.MonkeyPatch()

    def __bool__(self) -> bool:
        return self._left > 0

    def __enter__(self) -> Self:
        count_touches(self._patch, self._count)
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.undo()

    def _count(self) -> None:
        self._left -= 1
        if self._left <= 0:
            raise _Killed
