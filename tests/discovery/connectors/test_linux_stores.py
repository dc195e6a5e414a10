"""Keystores and other files that hold certificates, on a real host: keytool and openssl wrote them."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
    pkcs12,
)

from services.discovery.connectors.linux import LinuxHost
from services.discovery.connectors.shell import Shell
from services.discovery.domain.holdings import Gap, Holding
from shared import x509
from tests.discovery.connectors.test_linux import open_sshd, opened, pages, store
from tests.servers.processes import program
from tests.servers.ssh import Sshd
from tests.servers.tls import CertificateAuthority, Issued

__all__ = ["open_sshd", "store"]
SECRET = "a store's own word"


@pytest.fixture
def authority(lab_ca: CertificateAuthority) -> CertificateAuthority:
    return CertificateAuthority("Store intermediate", parent=lab_ca)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """All that the host says."""
    said, run = list[bytes](), Shell.run

    async def listening(self: Shell, script: str) -> tuple[int, bytes]:
        status, output = await run(self, script)
        said.append(output)
        return status, output

    monkeypatch.setattr(Shell, "run", listening)
    return said


def bundle(issued: Issued, *, alias: str, password: str) -> bytes:
    return pkcs12.serialize_key_and_certificates(
        alias.encode(),
        issued.key,
        issued.certificate,
        issued.issuers,
        BestAvailableEncryption(password.encode()),
    )


def keytool(*words: str) -> None:
    command = [program("keytool", package="default-jre-headless"), *words, "-noprompt"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


async def read(sshd: Sshd, folder: Path, **settings: Any) -> tuple[Mapping[str, Holding], list[Gap]]:
    async with opened(sshd, folder, **settings) as host:
        return await told(host, folder)


async def told(host: LinuxHost, folder: Path) -> tuple[Mapping[str, Holding], list[Gap]]:
    found = await pages(host)
    held = {each.path.removeprefix(f"{folder}/"): each for page in found for each in page.holdings}
    return held, [gap for page in found for gap in page.gaps if not gap.is_absent]


def shared_with_all(folder: Path) -> None:
    for path in folder.iterdir():
        path.chmod(0o644)


async def test_java_keystores_are_read_without_their_password_and_without_their_keys(
    open_sshd: Sshd, store: Path, authority: CertificateAuthority, heard: list[bytes]
):
    issued, trusted = authority.issue("java.test"), authority.issue("trusted.test")
    (store / "from.bin").write_bytes(bundle(issued, alias="Tom cat/1", password=SECRET))
    (store / "trusted.bin").write_bytes(trusted.certificate_pem)
    jks, jceks = str(store / "a.jks"), str(store / "b.keystore")
    words = ("-srcstorepass", SECRET, "-deststorepass", SECRET)
    keytool(
        "-importkeystore",
        "-srckeystore",
        str(store / "from.bin"),
        "-destkeystore",
        jks,
        *words,
        "-deststoretype",
        "JKS",
    )
    keytool(
        "-importcert",
        "-alias",
        "ca",
        "-file",
        str(store / "trusted.bin"),
        "-keystore",
        jks,
        "-storepass",
        SECRET,
    )
    keytool("-importkeystore", "-srckeystore", jks, "-destkeystore", jceks, *words, "-deststoretype", "JCEKS")
    shared_with_all(store)
    held, gaps = await read(open_sshd, store)
    assert gaps == []
    assert {(path, each.format, x509.fingerprint(each.chain[0])) for path, each in held.items()} == {
        (f"{name}/{alias}", format_, one.fingerprint)
        for name, format_ in (("a.jks", "jks"), ("b.keystore", "jceks"))
        for alias, one in (("tom cat%2F1", issued), ("ca", trusted))
    }
    entry = held["a.jks/tom cat%2F1"]
    assert (len(entry.chain), entry.key is not None and entry.key.is_encrypted) == (2, True)
    assert (held["a.jks/ca"].key, held["a.jks/ca"].in_use) == (None, None)
    content, said = (store / "a.jks").read_bytes(), b"".join(heard)
    before = content.index(b"\x00\x00\x00\x01\x00\x09tom cat/1") + 6 + 9 + 8
    length = int.from_bytes(content[before : before + 4], "big")
    key = content[before + 4 : before + 4 + length]
    assert length > 100
    assert [at for at in range(0, length - 8, 8) if key[at : at + 8].hex().encode() in said] == []


async def test_what_follows_a_secret_key_in_a_java_keystore_is_a_gap(open_sshd: Sshd, store: Path):
    path = store / "secret.jceks"
    keytool(
        "-genseckey",
        "-alias",
        "s",
        "-keyalg",
        "AES",
        "-keysize",
        "128",
        "-keystore",
        str(path),
        "-storetype",
        "JCEKS",
        "-storepass",
        SECRET,
    )
    (store / "torn.jks").write_bytes(b"\xfe\xed\xfe\xed\0\0\0\2\0\0\0\1")
    (store / "other.jks").write_bytes(b"\0\0\0\2 something else")
    shared_with_all(store)
    held, gaps = await read(open_sshd, store)
    assert held == {}
    assert {gap.scope for gap in gaps} == {str(path), str(store / "torn.jks"), str(store / "other.jks")}


async def test_pkcs12_is_opened_on_the_host_with_the_passwords_of_the_credential(
    open_sshd: Sshd, store: Path, authority: CertificateAuthority, heard: list[bytes]
):
    issued = {
        name: authority.issue(f"{name}.test", kind="rsa" if name == "old" else "ec")
        for name in ("usual", "own", "old")
    }
    for name, password in (("usual", "changeit"), ("own", SECRET)):
        (store / f"{name}.p12").write_bytes(bundle(issued[name], alias=name, password=password))
    old = issued["old"]
    pem = old.key_pem + old.chain_pem
    command = [
        program("openssl", package="openssl"),
        "pkcs12",
        "-export",
        "-legacy",
        "-name",
        "old",
        "-passout",
        "pass:",
        "-out",
        str(store / "old.pfx"),
    ]
    subprocess.run(command, input=pem, check=True, capture_output=True)
    shared_with_all(store)
    held, gaps = await read(open_sshd, store)
    assert ([gap.scope for gap in gaps], sorted(held)) == (
        [str(store / "own.p12")],
        ["old.pfx/old", "usual.p12/usual"],
    )
    assert "store_passwords" in gaps[0].next_step
    held, gaps = await read(open_sshd, store, store_passwords=["wrong", SECRET])
    assert gaps == []
    for name, each in held.items():
        stem = name.rpartition("/")[2]
        assert (x509.fingerprint(each.chain[0]), len(each.chain)) == (issued[stem].fingerprint, 2)
        assert each.key is not None
        assert (each.key.is_match, each.key.is_exposed, each.key.path) == (True, True, each.path)
    said = b"".join(heard)
    assert (len(held), b"PRIVATE" in said, SECRET.encode() in said) == (3, False, False)


async def test_der_and_pkcs7_are_read_without_openssl_leaf_first(
    open_sshd: Sshd, store: Path, authority: CertificateAuthority
):
    issued = authority.issue("seven.test")
    shuffled = [*issued.issuers, issued.certificate]
    (store / "a.der").write_bytes(issued.certificate.public_bytes(Encoding.DER))
    (store / "b.p7b").write_bytes(pkcs7.serialize_certificates(shuffled, Encoding.PEM))
    (store / "c.p7c").write_bytes(pkcs7.serialize_certificates(shuffled, Encoding.DER))
    (store / "d.cer").write_bytes(issued.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    (store / "e.cer").write_bytes(b"\x30\x82\x01\x00\x30\x10nothing to be read")
    shared_with_all(store)
    held, gaps = await read(open_sshd, store)
    assert {path: (each.format, len(each.chain)) for path, each in held.items()} == {
        "a.der": ("der", 1),
        "b.p7b": ("pkcs7", 2),
        "c.p7c": ("pkcs7", 2),
    }
    assert {x509.fingerprint(each.chain[0]) for each in held.values()} == {issued.fingerprint}
    assert [gap.scope for gap in gaps] == [str(store / "e.cer")]


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER], ids=["pem", "der"])
async def test_a_certificate_is_matched_with_a_key_that_lies_somewhere_else(
    open_sshd: Sshd, store: Path, lab_ca: CertificateAuthority, encoding: Encoding
):
    for number in range(2):
        issued = lab_ca.issue(f"{number}.test", kind="rsa" if number else "ec")
        (store / f"{number}.crt").write_bytes(issued.certificate_pem)
        (store / "keys").mkdir(exist_ok=True)
        key = store / "keys" / f"of-{number}.key"
        key.write_bytes(issued.key.private_bytes(encoding, PrivateFormat.PKCS8, NoEncryption()))
        key.chmod(0o644)
    (store / "none.crt").write_bytes(lab_ca.issue("none.test").certificate_pem)
    held, gaps = await read(open_sshd, store)
    assert gaps == []
    keys = {
        path: each.key and (each.key.path, each.key.is_match, each.key.is_exposed)
        for path, each in held.items()
    }
    assert keys == {
        "0.crt": (str(store / "keys" / "of-0.key"), True, True),
        "1.crt": (str(store / "keys" / "of-1.key"), True, True),
        "none.crt": None,
    }


def written(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey,
    form: PrivateFormat,
    password: str,
) -> bytes:
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, form, encryption)


async def test_keys_of_every_kind_are_hashed_on_the_host_and_encrypted_ones_are_called_so(
    open_sshd: Sshd, store: Path, lab_ca: CertificateAuthority
):
    keys = {
        "ec": written(ec.generate_private_key(ec.SECP384R1()), PrivateFormat.TraditionalOpenSSL, ""),
        "ed25519": written(ed25519.Ed25519PrivateKey.generate(), PrivateFormat.PKCS8, ""),
        "rsa": written(rsa.generate_private_key(65537, 2048), PrivateFormat.TraditionalOpenSSL, ""),
        "pkcs8": written(ec.generate_private_key(ec.SECP256R1()), PrivateFormat.PKCS8, SECRET),
        "old": written(rsa.generate_private_key(65537, 2048), PrivateFormat.TraditionalOpenSSL, SECRET),
    }
    certificate = lab_ca.issue("a.test").certificate_pem
    for name, pem in keys.items():
        (store / f"{name}.pem").write_bytes(certificate + pem)
    held, _ = await read(open_sshd, store)
    seen = {}
    for path, each in held.items():
        assert each.key is not None
        seen[path] = (each.key.is_match, each.key.is_encrypted)
    assert seen == {
        f"{name}.pem": (None, True) if name in ("pkcs8", "old") else (False, False) for name in keys
    }


async def test_a_certificate_without_an_end_does_not_take_the_key_after_it_along(
    open_sshd: Sshd, store: Path, lab_ca: CertificateAuthority, heard: list[bytes]
):
    issued = lab_ca.issue("torn.test")
    torn = issued.certificate_pem.replace(b"-----END CERTIFICATE-----\n", b"")
    (store / "torn.pem").write_bytes(torn + issued.key_pem)
    held, gaps = await read(open_sshd, store)
    assert (held, [gap.reason for gap in gaps]) == ({}, ["It holds a certificate that cannot be read."])
    assert issued.key_pem.splitlines()[1] not in b"".join(heard)


@pytest.mark.parametrize("named", ["", "/own", "#OWN"])
async def test_what_uses_a_keystore_is_told_of_the_entry_that_it_means(
    open_sshd: Sshd, store: Path, authority: CertificateAuthority, named: str
):
    (store / "own.p12").write_bytes(bundle(authority.issue("own.test"), alias="own", password="changeit"))
    shared_with_all(store)
    (store / "nginx.conf").write_text(
        f'http {{ server {{ listen 443 ssl; server_name own.test; ssl_certificate "{store}/own.p12{named}"; }} }}'
    )
    held, gaps = await read(open_sshd, store)
    assert (gaps, sorted(held)) == ([], ["own.p12/own"])
    [use] = held["own.p12/own"].uses
    assert (use.certificate, use.server_names) == (f"{store}/own.p12/own", ("own.test",))
    assert held["own.p12/own"].in_use is True


async def test_an_entry_that_is_named_and_not_in_the_keystore_is_a_gap_that_hides_nothing(
    open_sshd: Sshd, store: Path, authority: CertificateAuthority
):
    (store / "own.p12").write_bytes(bundle(authority.issue("own.test"), alias="own", password="changeit"))
    shared_with_all(store)
    (store / "nginx.conf").write_text(
        f'http {{ server {{ listen 443 ssl; ssl_certificate "{store}/own.p12/other"; }} }}'
    )
    async with opened(open_sshd, store) as host:
        found = await pages(host)
    assert [(gap.scope, gap.is_absent) for page in found for gap in page.gaps] == [
        (f"{store}/own.p12/other", True)
    ]
    assert [each.uses for page in found for each in page.holdings] == [()]
