"""BIG-IP: what is made, changed and removed there, and that nothing else is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.provisioner.connectors.devices.bigip import BigIp as Kind
from services.provisioner.domain import Failure
from tests.conformance.targets.devices import PROFILE, VIRTUAL, big_ip
from tests.provisioner.connectors.devices import Device
from tests.servers.bigip import PASSWORD, USERNAME, BigIp
from tests.servers.tls import CertificateAuthority, Issued

CLIENT = "ltm/profile/client-ssl"


@pytest.fixture
def old(lab_ca: CertificateAuthority) -> Issued:
    return lab_ca.issue("shop.test")


@pytest.fixture
def new(lab_ca: CertificateAuthority) -> Issued:
    return lab_ca.intermediate().issue("shop.test")


@pytest.fixture
def bigip(tmp_path: Path, old: Issued) -> Iterator[BigIp]:
    opened = big_ip(tmp_path, old)
    yield opened
    opened.interface.stop()


def device(bigip: BigIp, *, options: dict[str, Any] | None = None, **slot: Any) -> Device:
    where = {"url": f"https://127.0.0.1:{bigip.interface.port}", "trusted_ca": bigip.interface.trusted_ca}
    return Device(
        Kind,
        credential={"username": USERNAME, "password": PASSWORD},
        options={**where, **(options or {})},
        slot={"profile": PROFILE, **slot},
    )


def served(bigip: BigIp, name: str = "shop.test") -> bytes:
    pair = bigip.control.served(VIRTUAL, name)
    assert pair is not None
    return pair.chain


def ours(bigip: BigIp) -> list[str]:
    return [path for path in (*bigip.certificates, *bigip.keys) if "everleaf-" in path]


async def test_what_is_served_is_the_chain_also_after_a_restart(bigip: BigIp, new: Issued):
    await device(bigip).deploy(new)
    assert served(bigip) == new.chain_pem
    bigip.control.restart()
    assert served(bigip) == new.chain_pem


async def test_our_certificate_before_is_removed_and_what_a_person_has_stays(
    bigip: BigIp, new: Issued, lab_ca: CertificateAuthority
):
    await device(bigip).deploy(new)
    newer = lab_ca.issue("shop.test")
    await device(bigip).deploy(newer)
    assert {Path(path).stem.rpartition("-")[2] for path in ours(bigip)} == {newer.fingerprint[:12]}
    assert "/Common/shop-2020.crt" in bigip.certificates
    bigip.control.restart()
    assert served(bigip) == newer.chain_pem


async def test_no_upload_stays_on_the_device(bigip: BigIp, new: Issued, lab_ca: CertificateAuthority):
    await device(bigip).deploy(new)
    assert bigip.control.uploads == {}
    bigip.control.may_remove_files = False
    await device(bigip).deploy(lab_ca.issue("shop.test"))
    assert set(bigip.control.uploads.values()) == {b"\n"}


async def test_objects_are_made_in_one_transaction_and_the_profile_is_changed_in_another(
    bigip: BigIp, new: Issued
):
    await device(bigip).bind(new)
    within = [
        (each.method, each.path.removeprefix("/mgmt/tm/"))
        for each in bigip.interface.asked
        if "x-f5-rest-coordination-id" in each.headers
    ]
    certificate, key = ("POST", "sys/file/ssl-cert"), ("POST", "sys/file/ssl-key")
    assert within == [certificate, key, certificate, ("PATCH", f"{CLIENT}/~Common~shop-clientssl")]
    assert bigip.control.committed == 2


async def test_a_pair_that_does_not_match_is_refused_and_all_of_the_transaction_with_it(
    bigip: BigIp, old: Issued, new: Issued, lab_ca: CertificateAuthority
):
    error = await device(bigip, virtual=VIRTUAL).fails(new, key_pem=lab_ca.issue("other.test").key_pem)
    assert (error.failure, error.step) == (Failure.PAIR_MISMATCH, "bind")
    assert served(bigip) == old.chain_pem


async def test_of_several_pairs_one_must_be_named_and_the_others_stay(
    bigip: BigIp, new: Issued, lab_ca: CertificateAuthority
):
    bigip.keep("/Common/rsa.crt", lab_ca.issue("shop.test", kind="rsa"))
    entries = bigip.collections[CLIENT][PROFILE]["certKeyChain"]
    rsa = {"name": "rsa", "cert": "/Common/rsa.crt", "key": "/Common/rsa.key", "passphrase": "$M$xy$z=="}
    entries.append(rsa)
    assert "pair0, rsa" in await device(bigip).refuses(new, Failure.CONFLICT)
    undo = await device(bigip, entry="pair0").bind(new)
    named = {each["name"]: each for each in bigip.collections[CLIENT][PROFILE]["certKeyChain"]}
    assert named["rsa"] == rsa
    assert named["pair0"]["cert"].startswith("/Common/everleaf-")
    await device(bigip, entry="pair0").restore(undo)
    named = {each["name"]: each for each in bigip.collections[CLIENT][PROFILE]["certKeyChain"]}
    assert (named["pair0"]["cert"], named["pair0"]["passphrase"]) == ("/Common/shop-2020.crt", "$M$ab$cd==")
    assert ours(bigip) == []


async def test_a_virtual_server_gets_the_profile_and_loses_it_on_the_way_back(bigip: BigIp, new: Issued):
    second = "/Common/second"
    bigip.profile(
        second, {"cert": "/Common/shop-2020.crt", "key": "/Common/shop-2020.key"}, serverName="second.test"
    )
    target = device(bigip, profile=second, virtual=VIRTUAL)
    undo = await target.bind(new)
    assert served(bigip, "second.test") == new.chain_pem
    await target.restore(undo)
    assert bigip.profiles_of[VIRTUAL] == (PROFILE,)
    assert bigip.collections[CLIENT][second]["certKeyChain"][0]["cert"] == "/Common/shop-2020.crt"


async def test_a_second_profile_without_a_default_for_sni_is_refused_as_a_whole(bigip: BigIp, new: Issued):
    bigip.collections[CLIENT][PROFILE]["sniDefault"] = "false"
    second = "/Common/second"
    bigip.profile(second, {"cert": "/Common/shop-2020.crt", "key": "/Common/shop-2020.key"})
    said = await device(bigip, profile=second, virtual=VIRTUAL).refuses(new, Failure.REJECTED)
    assert "0107149c" in said
    assert bigip.collections[CLIENT][second]["certKeyChain"][0]["cert"] == "/Common/shop-2020.crt"


async def test_a_profile_that_has_its_parents_pair_has_it_again_on_the_way_back(bigip: BigIp, new: Issued):
    bigip.collections[CLIENT][PROFILE]["inheritCertkeychain"] = "true"
    undo = await device(bigip).bind(new)
    assert bigip.collections[CLIENT][PROFILE]["inheritCertkeychain"] == "false"
    await device(bigip).restore(undo)
    assert (bigip.collections[CLIENT][PROFILE]["inheritCertkeychain"], ours(bigip)) == ("true", [])


async def test_the_configuration_is_synchronised_where_that_is_asked_for(bigip: BigIp, new: Issued):
    await device(bigip, options={"sync_group": "/Common/pair-1"}).bind(new)
    assert bigip.control.synchronised == ["config-sync to-group /Common/pair-1"]


async def test_a_token_that_expires_on_the_way_is_asked_for_again_and_none_is_left(bigip: BigIp, new: Issued):
    bigip.uses_before_expiry = 4
    await device(bigip).deploy(new)
    assert bigip.logins > 1
    assert bigip.tokens == set()


async def test_a_user_with_all_its_tokens_given_out_is_tried_again(bigip: BigIp, new: Issued):
    bigip.most_tokens = 0
    assert "tokens" in await device(bigip).refuses(new, Failure.RATE_LIMITED)


async def test_a_profile_that_is_not_there_is_named(bigip: BigIp, new: Issued):
    assert "/Common/none" in await device(bigip, profile="/Common/none").refuses(new, Failure.NOT_FOUND)
    assert ours(bigip) == []


async def test_what_others_have_bound_meanwhile_is_seen_and_not_taken_back(
    bigip: BigIp, new: Issued, lab_ca: CertificateAuthority
):
    undo = await device(bigip).bind(new)
    theirs = lab_ca.issue("shop.test")
    bigip.keep("/Common/theirs.crt", theirs)
    entry = bigip.collections[CLIENT][PROFILE]["certKeyChain"][0]
    entry.update(cert="/Common/theirs.crt", key="/Common/theirs.key", chain="none")
    await device(bigip).restore(undo)
    assert served(bigip) == theirs.chain_pem
