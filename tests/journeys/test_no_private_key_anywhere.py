"""The loop closes once; then every file that the platform has written is searched for every private key there was."""

import base64
import json
import re
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    load_der_private_key,
    load_pem_private_key,
    load_ssh_private_key,
)
from cryptography.x509 import ocsp

from services.program import Program
from shared.sealing import Sealer
from tests.journeys.conftest import StartPlatform
from tests.journeys.estate import Estate
from tests.journeys.platforms import Platform, accepted, until
from tests.journeys.test_expiring_certificate_is_renewed_and_deployed import builtin, close_the_loop
from tests.servers.tls import CertificateAuthority

_BREAKS = re.compile(rb"(\\n|\\r|\s)+")
"""What stands between the lines of PEM, also within JSON."""


def secret_of(key: object) -> bytes:
    """Return the 32 bytes that a private key is: in every form that it is written in, they are there."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.private_numbers().private_value.to_bytes(key.key_size // 8)
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    return key.private_bytes_raw()


def forms(secret: bytes) -> Iterator[bytes]:
    """Yield how a secret looks: as it is, in hexadecimal, and in base64 wherever it begins in what is encoded."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for before in range(3):
        # What is encoded before and after it decides on the characters at both ends only.
        encoded = base64.b64encode(b"\0" * before + secret)[4:-4]
        yield encoded
        yield encoded.replace(b"+", b"-").replace(b"/", b"_")


def shown(content: bytes, keys: dict[str, bytes]) -> list[str]:
    """Return whose key is to be found in bytes."""
    joined = _BREAKS.sub(b"", content)
    return [
        whose
        for whose, secret in keys.items()
        if any(form in content or form in joined for form in forms(secret))
    ]


def keys_of(platform: Platform, estate: Estate, order_id: str) -> dict[str, bytes]:
    """Return every private key that the platform has, opened with its own key-encryption key."""
    sealer = Program({}, toml_path=platform.data / "none", data_dir=platform.data).sealer()
    authority, order, signing, sealing = (
        _row(platform, name, query)
        for name, query in (
            ("renewal", "SELECT id, private FROM authorities"),
            ("renewal", f"SELECT id, private_key FROM orders WHERE id = '{order_id}'"),
            ("inventory", "SELECT id, private_key FROM signing_keys"),
            ("provisioner", "SELECT name, private_key FROM sealing_keys"),
        )
    )
    ca = json.loads(sealer.open(authority[1], row=f"renewal/authorities/{authority[0]}/private"))
    pem = sealer.open(order[1], row=f"renewal/orders/{order[0]}/private_key")
    return {
        "the intermediate's": _of_der(ca["key"]["pkcs8"]),
        "the root's": _of_der(ca["root_key"]["pkcs8"]),
        "the certificate's": secret_of(load_pem_private_key(pem, None)),
        "the responder's": _responder(platform, sealer),
        "that of tokens": _signing(sealer, signing),
        "the provisioner's": sealer.open(
            sealing[1], row=f"provisioner/sealing_keys/{sealing[0]}/private_key"
        ),
        "that of SSH": secret_of(load_ssh_private_key(estate.sshd.client_key.encode(), None)),
    }


def _of_der(pkcs8: str) -> bytes:
    return secret_of(load_der_private_key(bytes.fromhex(pkcs8), None))


def _responder(platform: Platform, sealer: Sealer) -> bytes:
    authority_id, sealed = _row(
        platform, "renewal", "SELECT authority_id, responder_key FROM builtin_publications"
    )
    row = f"renewal/builtin_publications/{authority_id}/responder_key"
    return secret_of(load_der_private_key(sealer.open(sealed, row=row), None))


def _signing(sealer: Sealer, row: tuple[str, bytes]) -> bytes:
    return sealer.open(row[1], row=f"inventory/signing_keys/{row[0]}/private_key")


def _row(platform: Platform, name: str, query: str) -> tuple[str, bytes]:
    with sqlite3.connect(f"file:{platform.data}/{name}.db?mode=ro", uri=True) as database:
        [row] = database.execute(query).fetchall()
    database.close()
    return (str(row[0]), bytes(row[1]))


def files(folder: Path) -> dict[str, bytes]:
    """Return everything in a folder: databases with their logs and free pages, the bus, logs, key files."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_no_file_of_the_platform_shows_a_private_key_and_a_crash_leaves_none(
    start_platform: StartPlatform, estate: Estate, lab_ca: CertificateAuthority
) -> None:
    platform = start_platform("embedded", EVERLEAF_LOG_LEVEL="debug")
    with platform.client() as client:
        order = await close_the_loop(client, estate, ca=lab_ca, trust=builtin)
        _ask_ocsp(client)
        contracts = [client.get(path).content for path in ("/renewal/v1/orders", "/renewal/v1/authorities")]
    keys = keys_of(platform, estate, order["id"])
    assert len(set(keys.values())) == len(keys)
    deployed = [path.read_bytes() for path in estate.nginx.directory.rglob("key.pem")]
    assert ["the certificate's"] in [shown(content, keys) for content in deployed], "the search finds nothing"
    crashed = platform.processes["up"]
    limits = Path(f"/proc/{crashed.pid}/limits").read_text()
    assert re.search(r"Max core file size\s+0\s+0\s", limits)
    crashed.send(signal.SIGABRT)
    until(lambda: not crashed.is_running(), what="the crash")
    written = files(platform.directory)
    assert {"data/renewal.db", "data/inventory.db", "data/provisioner.db", "data/bus.db", "up.log"} <= set(
        written
    )
    assert not [name for name in written if Path(name).name.startswith("core")]
    written |= {f"answer {number}": content for number, content in enumerate(contracts)}
    found = {name: shown(content, keys) for name, content in written.items()}
    assert {name: whose for name, whose in found.items() if whose} == {}
    assert not [name for name, content in written.items() if b"PRIVATE KEY-----" in content]


def _ask_ocsp(client: httpx.Client) -> None:
    """Have a responder appointed, so that its key is there too."""
    [authority] = accepted(client.get("/renewal/v1/authorities"))["items"]
    at = f"/renewal/v1/authorities/{authority['id']}"
    issuer = x509.load_der_x509_certificate(client.get(f"{at}/certificate").content)
    digest = hashes.Hash(hashes.SHA1())
    digest.update(issuer.subject.public_bytes())
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    asked = ocsp.OCSPRequestBuilder().add_certificate_by_hash(digest.finalize(), identifier, 1, hashes.SHA1())
    answer = client.post(f"{at}/ocsp", content=asked.build().public_bytes(Encoding.DER))
    status = ocsp.load_der_ocsp_response(answer.content).response_status
    assert status is ocsp.OCSPResponseStatus.SUCCESSFUL
