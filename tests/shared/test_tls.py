import os
import ssl
import tempfile
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from shared.errors import Invalid
from shared.tls import client_context, load_identity
from tests.servers.tls import CertificateAuthority
from tests.servers.webhook import StartWebhook


@pytest.fixture
def files(tmp_path: Path, lab_ca: CertificateAuthority) -> tuple[Path, Path]:
    """A client certificate and its key."""
    return lab_ca.issue("client.test").write(tmp_path / "client")


def test_certificate_and_name_are_always_verified_and_old_versions_refused(lab_ca_pem: Path):
    for context in (client_context(), client_context(lab_ca_pem)):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


async def test_only_the_given_authority_is_trusted(
    start_webhook: StartWebhook, lab_ca_pem: Path, tmp_path: Path
):
    server = start_webhook(tls=True)
    async with httpx.AsyncClient(verify=client_context(lab_ca_pem), trust_env=False) as client:
        assert (await client.get(server.url)).status_code == 200
    (tmp_path / "other.pem").write_bytes(CertificateAuthority("Another").pem)
    async with httpx.AsyncClient(verify=client_context(tmp_path / "other.pem"), trust_env=False) as client:
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await client.get(server.url)


def test_a_client_certificate_is_loaded_with_its_key(files: tuple[Path, Path], lab_ca_pem: Path):
    certificate, key = files
    client_context(lab_ca_pem, certificate=certificate, key=key)


@pytest.mark.parametrize("wrong", ["missing", "not PEM", "another's key"])
def test_files_that_cannot_be_used_are_one_clear_line_that_names_them(
    wrong: str, files: tuple[Path, Path], tmp_path: Path, lab_ca: CertificateAuthority
):
    certificate, key = files
    if wrong == "missing":
        key = tmp_path / "none.pem"
    elif wrong == "not PEM":
        key.write_text("rubbish")
    else:
        key = lab_ca.issue("other.test").write(tmp_path / "other")[1]
    with pytest.raises(Invalid, match=str(key)) as raised:
        client_context(certificate=certificate, key=key)
    assert "\n" not in str(raised.value)


def test_an_identity_is_loaded_from_texts_and_leaves_no_file_behind(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    certificate, key = (file.read_text() for file in files)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    opened = len(list(Path("/proc/self/fd").iterdir()))
    load_identity(client_context(), certificate=certificate, key=key)
    monkeypatch.delattr(os, "memfd_create")  # as on a system without it
    load_identity(client_context(), certificate=certificate, key=key)
    assert list(folder.iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == opened


@pytest.mark.parametrize("wrong", ["no PEM", "another's key", "encrypted"])
def test_an_identity_that_cannot_be_used_is_told_without_its_key(
    wrong: str, files: tuple[Path, Path], lab_ca: CertificateAuthority
):
    other = lab_ca.issue("other.test")
    locked = other.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    key = {"no PEM": "rubbish", "another's key": other.key_pem.decode(), "encrypted": locked.decode()}[wrong]
    with pytest.raises(Invalid) as raised:
        load_identity(client_context(), certificate=files[0].read_text(), key=key)
    assert key[-60:-30] not in str(raised.value) or wrong == "no PEM"
