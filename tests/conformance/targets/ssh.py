"""What goes wrong with every host that is reached by SSH, and how its files are looked at."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.provisioner.connectors.file_slots import FilesSlot
from services.provisioner.connectors.keystores import java_leaf, pkcs12_leaf
from shared.ssh import Credential
from shared.x509 import fingerprint
from tests.conformance.targets.bench import Bench, Break, Fault
from tests.servers.tls import fingerprint as fingerprint_of


@asynccontextmanager
async def _stranger(bench: Bench) -> AsyncIterator[None]:
    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    bench.target["credential"] = Credential(private_key=key)
    yield


@asynccontextmanager
async def _another_host(bench: Bench) -> AsyncIterator[None]:
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    bench.target["host_key"] = key.strip()
    yield


SSH_FAULTS: dict[Fault, Break] = {Fault.CREDENTIAL: _stranger, Fault.IMPOSTOR: _another_host}


def through_ssh(bench: Bench, port: int) -> None:
    """Let the host be reached through a port of 127.0.0.1."""
    bench.target["port"] = port


def held_pair(slot: dict[str, Any]) -> str:
    """Return the fingerprint of the certificate in the files of a slot; its key is there, and no other file of ours."""
    files = FilesSlot.model_validate(slot)
    for path in files.paths:
        litter = [each.name for each in Path(path).parent.iterdir() if ".everleaf" in each.name]
        assert not litter
    content = Path(files.certificate_path).read_bytes()
    if files.format == "pkcs12":
        return fingerprint(pkcs12_leaf(content, passwords=()) or b"")
    if files.format != "pem":
        return fingerprint(java_leaf(content, alias=files.alias) or b"")
    certificate = x509.load_pem_x509_certificate(content)
    key = Path(files.key_path).read_bytes() if files.key_path else _key_in(content)
    assert certificate.public_key() == load_pem_private_key(key, None).public_key()
    return fingerprint_of(certificate)


def _key_in(combined: bytes) -> bytes:
    start = combined.index(b"-----BEGIN PRIVATE KEY-----")
    end = b"-----END PRIVATE KEY-----"
    return combined[start : combined.index(end) + len(end)]
