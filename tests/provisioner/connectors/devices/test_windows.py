"""Windows: stores, keys and who may read them, bindings, and nothing secret in what Windows would log."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError

from services.provisioner.connectors import SshAccess
from services.provisioner.connectors.devices.windows import Windows as Kind
from services.provisioner.connectors.devices.windows import WindowsSlot
from services.provisioner.connectors.devices.windows_scripts import EVERY
from services.provisioner.domain import Failure
from tests.conformance.targets.windows import SITE, windows_host
from tests.provisioner.connectors.devices import Device
from tests.servers.tls import CertificateAuthority, Issued
from tests.servers.windows import PASSWORD, USER, WindowsHost
from tests.servers.windows_changes import ADMINISTRATORS, Kept


@pytest.fixture
def old(lab_ca: CertificateAuthority) -> Issued:
    return lab_ca.issue("shop.test")


@pytest.fixture
def new(lab_ca: CertificateAuthority) -> Issued:
    return lab_ca.intermediate().issue("shop.test")


@pytest.fixture
async def host(old: Issued) -> AsyncIterator[WindowsHost]:
    opened = await windows_host(old)
    yield opened
    await opened.close()


def device(host: WindowsHost, **slot: Any) -> Device:
    return Device(
        Kind,
        credential={"password": PASSWORD},
        options={},
        slot={"use": SITE[0], "site": SITE[1], "binding": SITE[2], **slot},
        access={"ssh": SshAccess(host="127.0.0.1", port=host.port, username=USER, host_key=host.host_key)},
    )


def use(host: WindowsHost, name: str, binding: str | None = None) -> Device:
    return device(host, use=name, site=None, binding=binding)


def served(host: WindowsHost, at: tuple[str, str | None, str | None] = SITE) -> bytes:
    pair = host.changes.served(*at)
    assert pair is not None
    return pair.chain


def ours(host: WindowsHost, store: str = "My") -> list[Kept]:
    return [each for each in host.changes.stores[store] if each.name.startswith("everleaf-")]


async def test_a_site_serves_the_new_certificate_and_its_chain(host: WindowsHost, new: Issued):
    await device(host).deploy(new)
    assert served(host) == new.chain_pem


async def test_neither_key_nor_password_is_in_what_windows_would_log(host: WindowsHost, new: Issued):
    await device(host).deploy(new)
    [(password, pfx)] = host.changes.imported
    logged = "".join(host.said)
    for secret in (password.encode(), pfx, password.encode() + b"\n" + base64.b64encode(pfx)):
        for offset in range(3):  # base64 of it, wherever it begins within another text
            core = base64.b64encode(b"x" * offset + secret)[4:-4].decode()
            assert core not in logged
        assert secret.decode("latin-1") not in logged
    assert password not in "".join(EVERY)


async def test_who_may_read_the_present_key_may_read_the_new_one_and_so_may_those_named(
    host: WindowsHost, new: Issued
):
    await device(host, key_readers=["NT AUTHORITY\\NETWORK SERVICE"]).deploy(new)
    [kept] = ours(host)
    assert kept.readers == ADMINISTRATORS | {"IIS AppPool\\shop", "NT AUTHORITY\\NETWORK SERVICE"}


async def test_our_certificate_before_is_removed_and_what_a_person_has_stays(
    host: WindowsHost, new: Issued, old: Issued, lab_ca: CertificateAuthority
):
    await device(host).deploy(new)
    newer = lab_ca.issue("shop.test")
    await device(host).deploy(newer)
    assert [each.name[-12:] for each in ours(host)] == [newer.fingerprint[:12]]
    assert len(host.changes.stores["My"]) == 2


async def test_a_certificate_that_another_binding_has_is_not_removed(
    host: WindowsHost, new: Issued, lab_ca: CertificateAuthority
):
    await device(host).deploy(new)
    [first] = ours(host)
    host.changes.bindings["rdp", None, None] = (first.thumbprint, "My")
    await device(host).deploy(lab_ca.issue("shop.test"))
    assert first in ours(host)


@pytest.mark.parametrize(
    ("name", "binding"),
    [("http.sys", "0.0.0.0:8443"), ("rdp", None), ("winrm", None)],
    ids=["http.sys", "rdp", "winrm"],
)
async def test_other_uses_of_the_machines_store_are_bound_and_bound_back(
    host: WindowsHost, new: Issued, old: Issued, name: str, binding: str | None
):
    at = (name, None, binding)
    host.changes.bindings[at] = host.changes.bindings[SITE]
    undo = await use(host, name, binding).bind(new)
    assert (served(host, at), served(host)) == (new.chain_pem, old.chain_pem)
    await use(host, name, binding).restore(undo)
    assert (served(host, at), ours(host)) == (old.chain_pem, [])


async def test_the_store_of_web_hosting_is_bound_as_such(host: WindowsHost, new: Issued):
    await device(host, store="WebHosting").deploy(new)
    assert host.changes.bindings[SITE][1] == "WebHosting"
    assert served(host) == new.chain_pem


async def test_a_certificate_that_is_there_is_not_imported_again(host: WindowsHost, new: Issued):
    host.changes.hold(new, name="by hand")
    await device(host).deploy(new)
    assert (host.changes.imported, ours(host)) == ([], [])
    assert served(host) == new.chain_pem


async def test_a_binding_that_is_not_there_is_named_and_nothing_is_imported(host: WindowsHost, new: Issued):
    said = await device(host, binding="*:8443:").refuses(new, Failure.NOT_FOUND)
    assert "*:8443:" in said
    assert host.changes.imported == []


async def test_an_account_that_is_no_administrator_is_told_so(host: WindowsHost, new: Issued):
    host.changes.is_administrator = False
    assert "Access is denied" in await device(host).refuses(new, Failure.PERMISSION_DENIED)


async def test_a_host_without_powershell_is_told_so(host: WindowsHost, new: Issued):
    host.state.is_plain_error = True
    assert "PowerShell" in await device(host).refuses(new, Failure.REJECTED)


@pytest.mark.parametrize(
    "slot",
    [{"use": "iis", "site": "x"}, {"use": "rdp", "binding": "x"}, {"use": "winrm", "store": "WebHosting"}],
    ids=str,
)
def test_a_slot_names_what_its_use_has(slot: dict[str, str]):
    with pytest.raises(ValidationError):
        WindowsSlot.model_validate(slot)
