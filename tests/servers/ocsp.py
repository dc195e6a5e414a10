"""OpenSSL's OCSP responder, and CRLs and answers that a test signs as it likes."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from tests.servers.processes import NotStarted, Process, free_port, program
from tests.servers.tls import CertificateAuthority, Issued

HOUR = timedelta(hours=1)


@contextmanager
def openssl_responder(
    authority: CertificateAuthority,
    revoked: Mapping[int, str],
    *,
    good: tuple[int, ...] = (),
    port: int,
    folder: Path,
    signer: Issued | None = None,
) -> Iterator[None]:
    """Answer for an authority: `revoked` names the reasons by serial number; `signer` is one that it has delegated."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ca.pem").write_bytes(authority.pem)
    key = signer.key if signer is not None else authority.key
    (folder / "signer.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "signer.pem").write_bytes(signer.certificate_pem if signer is not None else authority.pem)
    lines = [
        f"R\t491231000000Z\t260101000000Z,{reason}\t{_serial(number)}\tunknown\t/CN=x"
        for number, reason in revoked.items()
    ]
    lines += [f"V\t491231000000Z\t\t{_serial(number)}\tunknown\t/CN=x" for number in good]
    (folder / "index.txt").write_text("".join(f"{line}\n" for line in lines))
    command: list[str | Path] = [
        program("openssl", package="openssl"),
        "ocsp",
        "-port",
        str(port),
        "-index",
        folder / "index.txt",
    ]
    command += ["-CA", folder / "ca.pem", "-rkey", folder / "signer.key", "-rsigner", folder / "signer.pem"]
    process = Process([*command, "-ndays", "1"], log=folder / "ocsp.log")
    try:
        _wait(process)
        yield
    finally:
        process.stop()


def _wait(process: Process) -> None:
    """Return when it listens; a connection that asks nothing would keep it busy for ever."""
    for _ in range(6000):
        process.check()
        if "waiting for OCSP client connections" in process.tail():
            return
        time.sleep(0.01)
    raise NotStarted(f"The responder does not listen. {process.tail()}")


def _serial(number: int) -> str:
    text = f"{number:X}"
    return text if len(text) % 2 == 0 else f"0{text}"


def names_ocsp(url: str) -> x509.AuthorityInformationAccess:
    """Return the extension that names a responder."""
    access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url))
    return x509.AuthorityInformationAccess([access])


def names_crl(url: str) -> x509.CRLDistributionPoints:
    """Return the extension that names a CRL."""
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
    return x509.CRLDistributionPoints([point])


def crl(
    authority: CertificateAuthority,
    revoked: Mapping[int, x509.ReasonFlags] | None = None,
    *,
    now: datetime,
    ends: timedelta = 24 * HOUR,
    extension: x509.ExtensionType | None = None,
    signer: CertificateAuthority | None = None,
) -> bytes:
    """Return a CRL of an authority, in DER; `signer` signs it in its place."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(authority.certificate.subject)
    builder = builder.last_update(min(now, now + ends) - HOUR).next_update(now + ends)
    for number, reason in (revoked or {}).items():
        entry = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now - HOUR)
        builder = builder.add_revoked_certificate(
            entry.add_extension(x509.CRLReason(reason), critical=False).build()
        )
    if extension is not None:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign((signer or authority).key, hashes.SHA256()).public_bytes(Encoding.DER)


def answer(
    authority: CertificateAuthority,
    issued: Issued,
    *,
    now: datetime,
    this_update: timedelta = -HOUR,
    next_update: timedelta | None = 24 * HOUR,
    signer: Issued | None = None,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    issuer: CertificateAuthority | None = None,
) -> bytes:
    """Return an OCSP answer in DER; `signer` signs it, and comes with it, in the place of the authority."""
    is_revoked = status is ocsp.OCSPCertStatus.REVOKED
    builder: Any = ocsp.OCSPResponseBuilder().add_response(
        cert=issued.certificate,
        issuer=(issuer or authority).certificate,
        algorithm=hashes.SHA1(),
        cert_status=status,
        this_update=now + this_update,
        next_update=now + next_update if next_update is not None else None,
        revocation_time=datetime(2026, 1, 1, tzinfo=UTC) if is_revoked else None,
        revocation_reason=x509.ReasonFlags.key_compromise if is_revoked else None,
    )
    if signer is not None:
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
        signed = builder.certificates([signer.certificate]).sign(signer.key, hashes.SHA256())
    else:
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, authority.certificate)
        signed = builder.sign(authority.key, hashes.SHA256())
    der: bytes = signed.public_bytes(Encoding.DER)
    return der


def free_url(path: str = "/ca.crl") -> tuple[int, str]:
    """Return a port that is free, and an address on it."""
    port = free_port()
    return port, f"http://127.0.0.1:{port}{path}"
