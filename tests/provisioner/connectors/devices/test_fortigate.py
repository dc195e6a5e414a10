"""FortiGate: every use of a certificate, and that no certificate is taken twice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.provisioner.connectors.devices.fortigate import FortiGate as Kind
from services.provisioner.connectors.devices.fortigate import FortiGateSlot
from services.provisioner.domain import Failure
from tests.conformance.targets.devices import forti_gate
from tests.provisioner.connectors.devices import Device
from tests.servers.fortigate import TOKEN, FortiGateSimulator
from tests.servers.tls import CertificateAuthority, Issued

VIP = ("root", "firewall/vip", "shop")


@pytest.fixture
def old(lab_ca: CertificateAuthority) -> Issued:
    return lab_ca.issue("shop.test")


@pytest.fixture
def new(lab_ca: CertificateAuthority) -> Issued:
    return lab_ca.intermediate().issue("shop.test")


@pytest.fixture
def gate(tmp_path: Path, old: Issued) -> Iterator[FortiGateSimulator]:
    opened = forti_gate(tmp_path, old)
    yield opened
    opened.close()


def device(gate: FortiGateSimulator, **slot: Any) -> Device:
    return Device(
        Kind,
        credential={"token": TOKEN},
        options={"url": gate.url, "trusted_ca": gate.ca},
        slot=slot or {"use": "vip", "name": "shop"},
    )


def served(
    gate: FortiGateSimulator, scope: str = "root", table: str = "firewall/vip", name: str | None = "shop"
) -> bytes:
    pair = gate.changes.served(scope, table, name)
    assert pair is not None
    return pair.chain


def ours(gate: FortiGateSimulator, scope: str = "root") -> list[str]:
    return [row["name"] for row in gate.certificates[scope] if row["name"].startswith("everleaf-")]


async def test_our_certificate_before_is_removed_and_what_a_person_has_stays(
    gate: FortiGateSimulator, new: Issued, lab_ca: CertificateAuthority
):
    await device(gate).deploy(new)
    assert served(gate) == new.chain_pem
    newer = lab_ca.issue("shop.test")
    await device(gate).deploy(newer)
    [name] = ours(gate)
    assert name.endswith(newer.fingerprint[:12])
    assert "shop-2020" in {row["name"] for row in gate.certificates["root"]}


async def test_a_field_that_is_a_list_stays_one(gate: FortiGateSimulator, new: Issued, old: Issued):
    row = gate.changes.row(*VIP)
    row["ssl-certificate"] = [{"name": "shop-2020"}]
    undo = await device(gate).bind(new)
    assert (served(gate), isinstance(row["ssl-certificate"], list)) == (new.chain_pem, True)
    await device(gate).restore(undo)
    assert row["ssl-certificate"] == [{"name": "shop-2020"}]


async def test_a_field_with_several_certificates_is_left_to_a_person(gate: FortiGateSimulator, new: Issued):
    gate.changes.row(*VIP)["ssl-certificate"] = [{"name": "shop-2020"}, {"name": "other"}]
    assert "several" in await device(gate).refuses(new, Failure.CONFLICT)
    assert ours(gate) == []


async def test_a_certificate_that_is_there_under_another_name_is_used_and_stays(
    gate: FortiGateSimulator, new: Issued, old: Issued
):
    gate.hold("root", "by-hand", new)
    undo = await device(gate).bind(new)
    assert gate.changes.row(*VIP)["ssl-certificate"] == "by-hand"
    await device(gate).restore(undo)
    assert served(gate) == old.chain_pem
    assert "by-hand" in {row["name"] for row in gate.certificates["root"]}


@pytest.mark.parametrize(
    ("use", "table", "field"),
    [("ssl-vpn", "vpn.ssl/settings", "servercert"), ("authentication", "user/setting", "auth-cert")],
)
async def test_settings_of_a_virtual_domain_name_the_new_certificate(
    gate: FortiGateSimulator, new: Issued, use: str, table: str, field: str
):
    gate.hold("dmz", "vpn-2020", Issued(certificate=new.issuers[0], key=new.key))
    gate.tables["dmz", table] = [{field: "vpn-2020"}]
    await device(gate, use=use, vdom="dmz").deploy(new)
    assert served(gate, "dmz", table, None) == new.chain_pem
    assert ours(gate) == []


async def test_the_web_interface_is_of_all_virtual_domains(gate: FortiGateSimulator, new: Issued):
    gate.tables["global", "system/global"][0]["admin-server-cert"] = ""
    undo = await device(gate, use="admin").bind(new)
    assert served(gate, "global", "system/global", None) == new.chain_pem
    await device(gate, use="admin").restore(undo)
    assert gate.tables["global", "system/global"][0]["admin-server-cert"] == ""
    assert ours(gate, "global") == []


async def test_a_certificate_that_something_else_names_is_not_removed(
    gate: FortiGateSimulator, new: Issued, lab_ca: CertificateAuthority
):
    await device(gate).deploy(new)
    [first] = ours(gate)
    gate.tables["root", "vpn.ssl/settings"] = [{"servercert": first}]
    await device(gate).deploy(lab_ca.issue("shop.test"))
    assert first in ours(gate)


async def test_a_pair_that_does_not_match_is_refused_at_its_import(
    gate: FortiGateSimulator, new: Issued, lab_ca: CertificateAuthority
):
    error = await device(gate).fails(new, key_pem=lab_ca.issue("other.test").key_pem)
    assert (error.failure, error.step) == (Failure.PAIR_MISMATCH, "stage")


async def test_a_virtual_server_that_is_not_there_is_named(gate: FortiGateSimulator, new: Issued):
    said = await device(gate, use="vip", name="none").refuses(new, Failure.NOT_FOUND)
    assert "firewall/vip/none" in said


async def test_whether_changes_are_saved_by_themselves_is_checked(gate: FortiGateSimulator):
    gate.tables["global", "system/global"][0]["cfg-save"] = "manual"
    async with device(gate).opened() as target:
        checks = {check.name: check.ok for check in await target.check()}
    assert checks == {"settings": True, "cfg-save": False}


@pytest.mark.parametrize(
    "slot", [{"use": "vip"}, {"use": "admin", "vdom": "root"}, {"use": "ssl-vpn", "name": "x"}], ids=str
)
def test_a_slot_names_what_its_use_has(slot: dict[str, str]):
    with pytest.raises(ValidationError):
        FortiGateSlot.model_validate(slot)
