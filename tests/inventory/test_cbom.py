"""The bill of cryptographic materials: valid by the official schemas, the same each time, and in little memory."""

import json

import pytest

from services.inventory.actions.cbom import Cbom
from services.inventory.domain.cbom import (
    Key,
    Protocol,
    Spec,
    depends,
    key,
    key_algorithm,
    protocols,
    signature_algorithm,
)
from shared.errors import Invalid
from shared.events.discovery import TlsFacts
from tests.cyclonedx import validator
from tests.inventory.conftest import Issue
from tests.inventory.ledger import DAY, NOON, Ledger, found, found_bytes, place
from tests.oddities import corpus
from tests.servers.tls import CertificateAuthority, fingerprint

ODD = {title: odd.bytes() for title, odd in [*corpus()][::5] if len(odd.bytes()) < 50_000}


async def bill(ledger: Ledger, spec: Spec = Spec.V1_7, query: str | None = None, page: int = 3) -> str:
    pieces = Cbom(ledger.database, page=page).bill(spec=spec, query=query, now=NOON, scope=None)
    return "".join([piece async for piece in pieces])


async def test_a_bill_of_good_and_of_odd_certificates_is_valid_and_everything_it_refers_to_is_in_it(
    ledger: Ledger, lab_ca: CertificateAuthority
) -> None:
    root = CertificateAuthority("Root", now=NOON)
    below = root.intermediate("Below")
    good = below.issue("shop.test", "www.shop.test", not_before=NOON - DAY, not_after=NOON + DAY)
    old = lab_ca.issue("old.test", kind="rsa", not_before=NOON - 9 * DAY, not_after=NOON - DAY)
    odd = [
        found_bytes(fingerprint_of(der), [der], place(number + 10), NOON)
        for number, der in enumerate(ODD.values())
    ]
    spoken = TlsFacts(versions=["TLSv1.3", "TLSv1"], suites={"TLSv1.3": ["TLS_AES_128_GCM_SHA256"]})
    plain, full = found(good, place(1), NOON), found(old, place(2), NOON)
    looked = full.model_copy(update={"data": full.data.model_copy(update={"tls": spoken})})
    told = {
        "tls_version": "TLSv1.2",
        "cipher_suite": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "group": "x25519",
    }
    negotiated = plain.model_copy(update={"data": plain.data.model_copy(update=told)})
    await ledger.hear(negotiated, looked, *odd)
    await ledger.work()
    for spec in Spec:
        document = json.loads(await bill(ledger, spec))
        assert [error.message for error in validator(spec).iter_errors(document)] == []
        refs = [each["bom-ref"] for each in document["components"]]
        assert len(refs) == len(set(refs))
        mentioned = {ref for each in document["dependencies"] for ref in (each["ref"], *each["dependsOn"])}
        assert mentioned <= set(refs)
        assert f"certificate/{good.fingerprint}" in refs
        kinds = [each["cryptoProperties"]["assetType"] for each in document["components"]]
        assert kinds.count("certificate") == len(ODD) + 3
        [on] = [each["dependsOn"] for each in document["dependencies"] if good.fingerprint in each["ref"]]
        assert f"certificate/{fingerprint(below.certificate)}" in on
    names = [each["name"] for each in document["components"]]
    for version, number in (("1.3", 2), ("1.0", 2), ("1.2", 1)):
        assert f"TLS {version} at 192.0.2.{number}:443 for shop.test" in names
    [shown] = [each for each in document["components"] if each["bom-ref"] == f"certificate/{old.fingerprint}"]
    said = shown["cryptoProperties"]["certificateProperties"]
    assert said["certificateState"] == [{"state": "deactivated"}]
    assert said["fingerprint"] == {"alg": "SHA-256", "content": fingerprint(old.certificate)}


def fingerprint_of(der: bytes) -> str:
    from hashlib import sha256

    return sha256(der).hexdigest()


async def test_the_same_inventory_gives_the_same_bytes_whatever_the_size_of_pages(
    ledger: Ledger, issue: Issue
) -> None:
    await ledger.hear(*(found(issue(f"{number}.test"), place(number), NOON) for number in range(7)))
    first, second = json.loads(await bill(ledger, page=2)), json.loads(await bill(ledger, page=100))
    assert first.pop("serialNumber") != second.pop("serialNumber")
    assert json.dumps(first) == json.dumps(second)


async def test_a_query_chooses_and_one_that_cannot_be_read_is_refused_before_anything_is_sent(
    ledger: Ledger, issue: Issue
) -> None:
    shop = issue("shop.test")
    await ledger.hear(found(shop, place(1), NOON), found(issue("other.test"), place(2), NOON))
    document = json.loads(await bill(ledger, query="name = shop.test"))
    refs = [each["bom-ref"] for each in document["components"] if each["bom-ref"].startswith("certificate/")]
    assert refs == [f"certificate/{shop.fingerprint}"]
    assert document["metadata"]["properties"][0]["value"] == "name = shop.test"
    with pytest.raises(Invalid):
        Cbom(ledger.database).bill(spec=Spec.V1_7, query="name = ", now=NOON, scope=None)
    empty = json.loads(await bill(ledger, query="name = nobody.test"))
    assert (empty["components"], empty["dependencies"]) == ([], [])
    assert validator(Spec.V1_7).is_valid(empty)


@pytest.mark.parametrize("spec", Spec)
def test_algorithms_say_their_strength(spec: Spec) -> None:
    def levels(kind: str, bits: int) -> tuple[int | None, int | None]:
        said = key_algorithm(kind, bits, spec=spec)["cryptoProperties"]["algorithmProperties"]
        return said.get("classicalSecurityLevel"), said.get("nistQuantumSecurityLevel")

    assert levels("rsa", 2048) == (112, 0)
    assert levels("rsa", 512) == (0, 0)
    assert levels("ecdsa-p384", 384) == (192, 0)
    assert levels("ed25519", 256) == (128, 0)
    assert levels("ml-dsa-65", 15616) == (None, 3)
    assert levels("ml-kem-1024", 12544) == (None, 5)
    assert levels("slh-dsa-sha2-192s", 384) == (None, 3)
    assert levels("1.3.6.1.4.1.55555.2", 24) == (None, None)
    said = signature_algorithm("sha256WithRSAEncryption", spec=spec)["cryptoProperties"][
        "algorithmProperties"
    ]
    assert (said["primitive"], said["padding"]) == ("signature", "pkcs1v15")


@pytest.mark.parametrize("spec", Spec)
def test_a_protocol_names_its_suites_and_depends_on_the_certificate_that_is_served(spec: Spec) -> None:
    spoken = Protocol(
        place_id="1" * 32,
        address="2001:db8::1",
        port=443,
        server_name="shop.test",
        fingerprint="2" * 64,
        suites={"1.3": ["TLS_AES_128_GCM_SHA256"], "1.2": []},
        groups=["X25519MLKEM768"],
    )
    parts = list(protocols(spoken, spec=spec))
    assert [part["name"] for part in parts] == [
        "TLS 1.3 at [2001:db8::1]:443 for shop.test",
        "TLS 1.2 at [2001:db8::1]:443 for shop.test",
    ]
    public = Key(fingerprint="3" * 64, kind=None, bits=None)
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": spec,
        "components": [*parts, key(public, spec=spec)],
        "dependencies": [*depends(spoken), *depends(public)],
    }
    assert [error.message for error in validator(spec).iter_errors(document)] == []
    assert next(depends(spoken))["dependsOn"] == [f"certificate/{'2' * 64}"]
