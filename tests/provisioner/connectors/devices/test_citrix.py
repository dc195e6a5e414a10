"""Citrix ADC: files, pairs, links and bindings, and that a person's own stay as they are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.provisioner.connectors.devices.citrix import CitrixAdc as Kind
from services.provisioner.domain import Failure
from tests.conformance.targets.devices import PAIR, VSERVER, citrix
from tests.provisioner.connectors.devices import Device
from tests.servers.citrix_adc import PASSWORD, USERNAME, CitrixAdc
from tests.servers.tls import CertificateAuthority, Issued


@pytest.fixture
def old(lab_ca: CertificateAuthority) -> Issued:
    return lab_ca.issue("shop.test")


@pytest.fixture
def new(lab_ca: CertificateAuthority) -> Issued:
    return lab_ca.intermediate("First").issue("shop.test")


@pytest.fixture
def adc(tmp_path: Path, old: Issued) -> Iterator[CitrixAdc]:
    opened = citrix(tmp_path, old)
    yield opened
    opened.interface.stop()


def device(adc: CitrixAdc, **slot: Any) -> Device:
    return Device(
        Kind,
        credential={"username": USERNAME, "password": PASSWORD},
        options={"url": f"https://127.0.0.1:{adc.interface.port}", "trusted_ca": adc.interface.trusted_ca},
        slot={"certkey": PAIR, **slot},
    )


def served(adc: CitrixAdc, name: str = "shop.test", virtual: str = VSERVER) -> bytes | None:
    pair = adc.control.served(virtual, name)
    return pair.chain if pair is not None else None


def pair(adc: CitrixAdc, name: str) -> dict[str, Any] | None:
    return next((each for each in adc.resources["sslcertkey"] if each["certkey"] == name), None)


def ours(adc: CitrixAdc) -> list[str]:
    names = [path.rpartition("/")[2] for path in adc.files]
    return sorted(name for name in names if name.startswith("everleaf-") and "-ca-" not in name)


async def test_what_is_served_is_the_chain_also_after_a_restart(adc: CitrixAdc, new: Issued):
    await device(adc).deploy(new)
    assert served(adc) == new.chain_pem
    adc.control.restart()
    assert served(adc) == new.chain_pem


async def test_another_issuer_is_linked_in_place_of_the_one_before(
    adc: CitrixAdc, old: Issued, new: Issued, lab_ca: CertificateAuthority
):
    await device(adc).deploy(new)
    newer = lab_ca.intermediate("Second").issue("shop.test")
    undo = await device(adc).bind(newer)
    assert served(adc) == newer.chain_pem
    await device(adc).restore(undo)
    assert served(adc) == new.chain_pem


async def test_our_files_before_are_removed_and_what_a_person_has_stays(
    adc: CitrixAdc, new: Issued, lab_ca: CertificateAuthority
):
    await device(adc).deploy(new)
    newer = lab_ca.issue("shop.test")
    await device(adc).deploy(newer)
    assert [name[-16:-4] for name in ours(adc)] == [newer.fingerprint[:12]] * 2
    assert "/nsconfig/ssl/shop.cer" in adc.files
    adc.control.restart()
    assert served(adc) == newer.chain_pem


async def test_a_pair_that_is_not_there_is_added_and_bound_by_name_and_gone_on_the_way_back(
    adc: CitrixAdc, old: Issued, lab_ca: CertificateAuthority
):
    second = lab_ca.intermediate().issue("second.test")
    target = device(adc, certkey="second", virtual_servers=[{"name": VSERVER, "sni": True}])
    undo = await target.bind(second)
    assert served(adc, "second.test") == second.chain_pem
    assert served(adc) == old.chain_pem
    await target.restore(undo)
    assert served(adc, "second.test") == old.chain_pem
    assert (pair(adc, "second"), ours(adc)) == (None, [])


async def test_a_default_that_is_replaced_is_the_default_again_on_the_way_back(
    adc: CitrixAdc, old: Issued, new: Issued
):
    target = device(adc, certkey="next", virtual_servers=[{"name": VSERVER}])
    undo = await target.bind(new)
    assert served(adc) == new.chain_pem
    await target.restore(undo)
    assert served(adc) == old.chain_pem
    assert pair(adc, "next") is None


async def test_names_where_no_names_are_asked_for_are_refused(adc: CitrixAdc, old: Issued, new: Issued):
    adc.resources["sslvserver"][0]["snienable"] = "DISABLED"
    target = device(adc, certkey="second", virtual_servers=[{"name": VSERVER, "sni": True}])
    assert "SNI" in await target.refuses(new, Failure.REJECTED)
    assert served(adc) == old.chain_pem


async def test_an_issuer_that_is_there_under_another_name_is_linked(adc: CitrixAdc, new: Issued):
    issuer = new.issuers[0]
    from_person = Issued(certificate=issuer, key=new.key)
    adc.resources["sslcertkey"].append({"certkey": "their CA", "cert": "their-ca.cer", "inform": "PEM"})
    adc.files["/nsconfig/ssl/their-ca.cer"] = from_person.certificate_pem
    await device(adc).deploy(new)
    item = pair(adc, PAIR)
    assert item is not None
    assert item["linkcertkeyname"] == "their CA"
    assert served(adc) == new.chain_pem
    assert [path for path in adc.files if "everleaf-ca" in path] == []


async def test_a_pair_whose_key_has_a_password_is_not_replaced(adc: CitrixAdc, new: Issued):
    item = pair(adc, PAIR)
    assert item is not None
    item["passcrypt"] = "8e1b"
    assert "password" in await device(adc).refuses(new, Failure.NO_WAY_BACK)
    assert ours(adc) == []


async def test_a_pair_that_does_not_match_is_refused(
    adc: CitrixAdc, old: Issued, new: Issued, lab_ca: CertificateAuthority
):
    error = await device(adc).fails(new, key_pem=lab_ca.issue("other.test").key_pem)
    assert (error.failure, error.step) == (Failure.PAIR_MISMATCH, "bind")
    assert served(adc) == old.chain_pem


async def test_files_that_an_attempt_before_has_left_are_written_anew(adc: CitrixAdc, new: Issued):
    target = device(adc)
    await target.fails(new, key_pem=new.key_pem.replace(b"-----BEGIN PRIVATE KEY-----", b"-----BEGIN x-----"))
    assert len(ours(adc)) == 2
    await target.deploy(new)
    assert served(adc) == new.chain_pem


async def test_a_session_that_expires_is_opened_again_and_none_is_left(adc: CitrixAdc, new: Issued):
    adc.uses_before_expiry = 5
    await device(adc).deploy(new)
    assert adc.logins > 1
    assert adc.sessions == set()


async def test_an_appliance_with_all_its_sessions_in_use_is_tried_again(adc: CitrixAdc, new: Issued):
    adc.most_sessions = 0
    assert "Connection limit" in await device(adc).refuses(new, Failure.UNREACHABLE)


async def test_a_virtual_server_that_is_not_there_is_named_before_anything_is_changed(
    adc: CitrixAdc, new: Issued, old: Issued
):
    target = device(adc, virtual_servers=[{"name": "none"}])
    assert "none" in await target.refuses(new, Failure.NOT_FOUND)
    assert served(adc) == old.chain_pem
