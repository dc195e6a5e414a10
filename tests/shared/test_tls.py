import asyncio
import contextlib
import os
import ssl
import tempfile
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from shared.errors import Invalid
from shared.tls import client_context, load_identity, server_context
from tests.servers.tls import CertificateAuthority, Issued
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


async def test_a_certificate_renewed_in_place_is_shown_from_the_next_connection_on_by_both_sides(
    tmp_path: Path, lab_ca: CertificateAuthority, lab_ca_pem: Path
):
    """A pair of which only one file is new yet is not shown: the former one is, until both are there."""
    names = ("localhost", "client.test")
    usage = ExtendedKeyUsageOID.CLIENT_AUTH
    now = [lab_ca.issue("localhost"), lab_ca.issue("client.test", usage=usage)]
    files = [issued.write(tmp_path / name) for issued, name in zip(now, names, strict=True)]
    seen: list[bytes] = []

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        writer.close()

    async def meet() -> tuple[bytes, bytes]:
        reader, writer = await asyncio.open_connection("localhost", port, ssl=asking)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        await reader.read()
        writer.close()
        return shown, seen.pop()

    async def nobody() -> None:
        # The client of TLS 1.3 is done before the server has looked: it is told afterwards, or just closed.
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            reader, writer = await asyncio.open_connection("localhost", port, ssl=client_context(lab_ca_pem))
            await reader.read()
            writer.close()

    def der(*issued: Issued) -> tuple[bytes, ...]:
        return tuple(each.certificate.public_bytes(Encoding.DER) for each in issued)

    served = server_context(*files[0], client_ca=lab_ca_pem)
    asking = client_context(lab_ca_pem, certificate=files[1][0], key=files[1][1])
    async with await asyncio.start_server(greet, "localhost", 0, ssl=served) as server:
        port = server.sockets[0].getsockname()[1]
        assert await meet() == der(*now)
        new = [lab_ca.issue("localhost"), lab_ca.issue("client.test", usage=usage)]
        for (certificate, _), issued in zip(files, new, strict=True):
            certificate.write_bytes(issued.chain_pem)
        assert await meet() == der(*now)
        for (_, key), issued in zip(files, new, strict=True):
            key.write_bytes(issued.key_pem)
        assert await meet() == der(*new)
        await nobody()
        assert seen == []


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
