"""Keystores that are written: Java itself opens them, what else they hold stays, and none is lost unasked."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs12

from services.provisioner.connectors.keystores import java_leaf, java_store, pkcs12_leaf, pkcs12_store
from services.provisioner.domain import DeploymentError, Failure, Material, pair
from tests.servers.processes import program
from tests.servers.tls import CertificateAuthority, Issued


def material(issued: Issued) -> Material:
    chain = [each.public_bytes(Encoding.DER) for each in (issued.certificate, *issued.issuers)]
    return pair(chain, issued.key_pem)


@pytest.fixture(scope="module")
def old(lab_ca: CertificateAuthority) -> Material:
    return material(lab_ca.issue("old.test"))


@pytest.fixture(scope="module")
def new(lab_ca: CertificateAuthority) -> Material:
    return material(lab_ca.intermediate().issue("new.test", kind="rsa"))


@pytest.mark.parametrize("kind", ["jks", "jceks"])
def test_java_opens_what_was_written_with_every_key_that_is_in_it(
    kind: str, tmp_path: Path, old: Material, new: Material
) -> None:
    first = java_store(None, kind=kind, alias="Other", material=old, passwords=["a secret"])
    both = java_store(first, kind=kind, alias="www", material=old, passwords=["no", "a secret"])
    store, converted = tmp_path / "store", tmp_path / "converted.p12"
    store.write_bytes(java_store(both, kind=kind, alias="WWW", material=new, passwords=["a secret"]))
    keytool = program("keytool", package="default-jre-headless")
    command = [keytool, "-importkeystore", "-noprompt", "-srckeystore", store, "-srcstoretype", kind]
    command += ["-srcstorepass", "a secret", "-destkeystore", converted, "-deststorepass", "changeit"]
    command += ["-deststoretype", "PKCS12", "-srcalias", "www", "-destalias", "www"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    taken = pkcs12.load_pkcs12(converted.read_bytes(), b"changeit")
    assert taken.key is not None
    assert taken.cert is not None
    shown = [each.certificate for each in (taken.cert, *taken.additional_certs)]
    assert tuple(each.public_bytes(Encoding.DER) for each in shown) == new.chain
    assert pair(new.chain, new.private_pem) == new
    assert java_leaf(store.read_bytes(), alias="www") == new.chain[0]
    assert java_leaf(store.read_bytes(), alias="other") == old.chain[0]


def test_who_names_no_entry_of_a_java_store_means_the_first_with_a_key(old: Material, new: Material) -> None:
    both = java_store(
        java_store(None, kind="jks", alias="a", material=old, passwords=()),
        kind="jks",
        alias="b",
        material=old,
        passwords=(),
    )
    written = java_store(both, kind="jks", alias=None, material=new, passwords=())
    assert [java_leaf(written, alias=alias) for alias in (None, "a", "b", "c")] == [
        new.chain[0],
        new.chain[0],
        old.chain[0],
        None,
    ]


@pytest.mark.parametrize("password", ["", "changeit", "another"])
def test_the_password_of_pkcs12_stays_and_so_does_its_name(
    password: str, old: Material, new: Material
) -> None:
    first = pkcs12_store(None, alias="www", material=old, passwords=[password])
    written = pkcs12_store(first, alias=None, material=new, passwords=["no", "another"])
    taken = pkcs12.load_pkcs12(written, password.encode() or None)
    assert taken.cert is not None
    assert taken.cert.friendly_name == b"www"
    assert len(taken.additional_certs) == 1
    assert pkcs12_leaf(written, passwords=["another"]) == new.chain[0]


@pytest.mark.parametrize(
    ("present", "why"),
    [
        (b"no keystore at all, but long enough for a hash", "No password"),
        (b"", "No password"),
    ],
)
def test_what_cannot_be_opened_is_not_replaced(present: bytes, why: str, new: Material) -> None:
    with pytest.raises(DeploymentError, match=why) as refused:
        java_store(present, kind="jks", alias=None, material=new, passwords=())
    assert refused.value.failure is Failure.STORE_REFUSED
    with pytest.raises(DeploymentError, match=why):
        pkcs12_store(present, alias=None, material=new, passwords=())
    assert java_leaf(present, alias=None) is pkcs12_leaf(present, passwords=()) is None


def test_pkcs12_that_holds_other_certificates_too_is_not_replaced(
    new: Material, lab_ca: CertificateAuthority
) -> None:
    one, other = lab_ca.issue("one.test"), lab_ca.issue("other.test")
    present = pkcs12.serialize_key_and_certificates(
        b"one", one.key, one.certificate, [other.certificate], BestAvailableEncryption(b"changeit")
    )
    with pytest.raises(DeploymentError, match="would be lost"):
        pkcs12_store(present, alias="one", material=new, passwords=())
