"""Palo Alto firewalls: only what is ours is committed, locks are kept, and jobs are waited for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.provisioner.connectors.devices.pan_os import PanOs as Kind
from services.provisioner.domain import Failure
from tests.conformance.targets.devices import PORTAL, palo_alto
from tests.provisioner.connectors.devices import Device
from tests.servers.pan_os import PASSWORD, USER, PanOsSimulator
from tests.servers.tls import CertificateAuthority, Issued

SHARED = "/config/shared"
FIELD = f"{SHARED}/ssl-tls-service-profile/entry[@name='{PORTAL}']/certificate"


@pytest.fixture
def old(lab_ca: CertificateAuthority) -> Issued:
    return lab_ca.issue("shop.test")


@pytest.fixture
def new(lab_ca: CertificateAuthority) -> Issued:
    return lab_ca.intermediate().issue("shop.test")


@pytest.fixture
def firewall(tmp_path: Path, old: Issued) -> Iterator[PanOsSimulator]:
    opened = palo_alto(tmp_path, old)
    yield opened
    opened.close()


def device(firewall: PanOsSimulator, *, credential: dict[str, str] | None = None, **slot: Any) -> Device:
    return Device(
        Kind,
        credential=credential or {"username": USER, "password": PASSWORD},
        options={"url": firewall.url, "trusted_ca": firewall.ca},
        slot={"profile": PORTAL, **slot},
    )


def served(firewall: PanOsSimulator) -> bytes:
    pair = firewall.changes.served(SHARED, PORTAL)
    assert pair is not None
    return pair.chain


def ours(firewall: PanOsSimulator) -> list[str]:
    names = [each.get("name", "") for each in firewall.at(f"{SHARED}/certificate")]
    return [name for name in names if name.startswith("everleaf-")]


async def test_the_chain_is_in_force_after_a_commit_whose_job_has_ended(
    firewall: PanOsSimulator, new: Issued
):
    firewall.changes.slow = 3
    undo = await device(firewall).bind(new)
    assert served(firewall) == new.chain_pem
    assert firewall.changes.jobs[0].asked_before_end < 0
    assert undo.model_dump()["old"] == "portal-2020"


async def test_our_certificate_before_is_removed_and_what_a_person_has_stays(
    firewall: PanOsSimulator, new: Issued, lab_ca: CertificateAuthority
):
    await device(firewall).deploy(new)
    newer = lab_ca.issue("shop.test")
    await device(firewall).deploy(newer)
    [name] = ours(firewall)
    assert name.endswith(newer.fingerprint[:12])
    assert (
        firewall.found(f"{SHARED}/certificate/entry[@name='portal-2020']", root=firewall.changes.running)
        is not None
    )
    assert firewall.changes.changed == {}
    assert firewall.changes.locks == {}


async def test_what_others_have_begun_is_not_committed(firewall: PanOsSimulator, new: Issued):
    theirs = f"{SHARED}/server-profile"
    firewall.put(theirs, '<entry name="half-done"/>')
    firewall.changes.changed[theirs] = "fred"
    await device(firewall).deploy(new)
    assert firewall.found(theirs, root=firewall.changes.running) is None
    assert firewall.changes.changed == {theirs: "fred"}


async def test_a_profile_that_somebody_is_changing_is_left_to_them(
    firewall: PanOsSimulator, new: Issued, old: Issued, lab_ca: CertificateAuthority
):
    firewall.hold(SHARED, "theirs", lab_ca.issue("shop.test").certificate_pem.decode())
    named = firewall.found(FIELD)
    assert named is not None
    named.text = "theirs"
    assert "theirs" in await device(firewall).refuses(new, Failure.CONFLICT)
    assert (served(firewall), ours(firewall), named.text) == (old.chain_pem, [], "theirs")


async def test_a_lock_of_somebody_else_is_waited_for_and_one_of_our_own_is_ours(
    firewall: PanOsSimulator, new: Issued
):
    firewall.changes.locks["shared"] = "fred"
    assert "fred" in await device(firewall).refuses(new, Failure.CONFLICT)
    firewall.changes.locks["shared"] = USER
    await device(firewall).deploy(new)
    assert served(firewall) == new.chain_pem


async def test_a_commit_that_fails_is_taken_back_in_the_candidate_too(
    firewall: PanOsSimulator, new: Issued, old: Issued
):
    firewall.changes.fails_commits = "Validation Error: the certificate has expired"
    target = device(firewall)
    error = await target.fails(new)
    assert (error.failure, error.step) == (Failure.REJECTED, "bind")
    assert "has expired" in error.detail
    firewall.changes.fails_commits = None
    async with target.opened() as opened:
        undo = Kind.undo_type.model_validate(
            {
                "new": ours(firewall)[0],
                "old": "portal-2020",
                "ours": ours(firewall)[0][:18],
                "root": SHARED,
                "vsys": None,
            }
        )
        await opened.restore(target.slot, undo=undo, report=lambda _step, _text: None)
    named = firewall.found(FIELD)
    assert named is not None
    assert (served(firewall), ours(firewall), named.text) == (old.chain_pem, [], "portal-2020")
    assert firewall.changes.changed == {}


async def test_a_key_of_another_certificate_is_refused_at_its_import(
    firewall: PanOsSimulator, new: Issued, lab_ca: CertificateAuthority
):
    error = await device(firewall).fails(new, key_pem=lab_ca.issue("other.test").key_pem)
    assert (error.failure, error.step) == (Failure.PAIR_MISMATCH, "stage")


async def test_the_key_is_encrypted_on_its_way_and_nothing_secret_is_in_an_address(
    firewall: PanOsSimulator, new: Issued
):
    await device(firewall).deploy(new)
    sent = b"".join(asked.body for asked in firewall.requests)
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in sent
    assert b"BEGIN PRIVATE KEY" not in sent
    assert {tuple(asked.query.items()) for asked in firewall.requests} == {(), (("type", "import"),)}


async def test_a_virtual_system_has_certificates_of_its_own(
    firewall: PanOsSimulator, new: Issued, old: Issued
):
    root = firewall.scope("vsys1")
    firewall.hold(root, "own-2020", old.certificate_pem.decode())
    firewall.changes.keys["own-2020"] = old.key_pem
    firewall.put(
        f"{root}/ssl-tls-service-profile", '<entry name="own"><certificate>own-2020</certificate></entry>'
    )
    firewall.changes.settle()
    await device(firewall, profile="own", vsys="vsys1").deploy(new)
    pair = firewall.changes.served(root, "own")
    assert pair is not None
    assert pair.chain == new.chain_pem
    assert served(firewall) == old.chain_pem


async def test_an_api_key_does_in_place_of_a_password(firewall: PanOsSimulator, new: Issued):
    await device(firewall, credential={"username": USER, "api_key": firewall.key}).deploy(new)
    assert served(firewall) == new.chain_pem
    wrong = {"username": USER, "api_key": "not-the-right-key"}
    await device(firewall, credential=wrong).refuses(new, Failure.LOGIN_REFUSED)


async def test_a_profile_that_is_not_there_is_named(firewall: PanOsSimulator, new: Issued):
    assert "none" in await device(firewall, profile="none").refuses(new, Failure.NOT_FOUND)
    assert ours(firewall) == []
