"""CT logs, and the timestamps that they give."""

import base64
import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, NameOID

from shared.clock import utc_now
from tests.servers.tls import CertificateAuthority, new_key

CA = CertificateAuthority("Root", now=utc_now())
STAMPED_AT = 1_790_000_000_123
"""Milliseconds since 1970."""


@dataclass(frozen=True, kw_only=True)
class Log:
    """A log with a key of its own that signs whatever it is shown."""

    operator: str
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    state: str = "usable"

    @property
    def public(self) -> bytes:
        """Its key."""
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def entry(self) -> dict[str, object]:
        """What a list says of it."""
        key = base64.b64encode(self.public).decode()
        state = {self.state: {"timestamp": "2026-01-01T00:00:00Z"}}
        return {"description": f"{self.operator} log", "key": key, "mmd": 86400, "state": state}

    def stamp(self, precertificate: bytes, *, issuer: x509.Certificate) -> bytes:
        """Return a timestamp (RFC 6962 §3.2)."""
        spki = issuer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        signed = struct.pack(">BBQH", 0, 0, STAMPED_AT, 1) + hashlib.sha256(spki).digest()
        signed += len(precertificate).to_bytes(3, "big") + precertificate + struct.pack(">H", 0)
        if isinstance(self.key, rsa.RSAPrivateKey):
            kind, signature = 1, self.key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        else:
            kind, signature = 3, self.key.sign(signed, ec.ECDSA(hashes.SHA256()))
        head = struct.pack(">B32sQH", 0, hashlib.sha256(self.public).digest(), STAMPED_AT, 0)
        return head + struct.pack(">BBH", 4, kind, len(signature)) + signature


def listed(*logs: Log) -> bytes:
    """Return a list of logs as browsers' makers publish theirs."""
    operators = [{"name": log.operator, "email": [], "logs": [], "tiled_logs": [log.entry]} for log in logs]
    return json.dumps({"version": "91.1", "operators": operators}).encode()


def extension_of(stamps: Sequence[bytes]) -> x509.UnrecognizedExtension:
    """Return the extension that holds timestamps (RFC 6962 §3.3)."""
    inner = b"".join(struct.pack(">H", len(stamp)) + stamp for stamp in stamps)
    value = struct.pack(">H", len(inner)) + inner
    size = len(value)
    # DER's length: one byte, or how many bytes it takes before them (X.690 §8.1.3).
    length = size.to_bytes(1 if size < 256 else 2, "big")
    head = b"\x04" + (bytes([0x80 | len(length)]) if size >= 128 else b"") + length
    return x509.UnrecognizedExtension(ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS, head + value)


def logged(*logs: Log, for_another: bool = False) -> x509.Certificate:
    """Return a certificate of 30 days with a timestamp of each log; `for_another` has them sign another one."""
    now = utc_now()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.test")])
    plain = (
        x509.CertificateBuilder(issuer_name=CA.certificate.subject, subject_name=name)
        .public_key(new_key("ec").public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=30))
    )

    def signed(made: x509.CertificateBuilder, stamps: Sequence[bytes]) -> x509.Certificate:
        return made.add_extension(extension_of(stamps), critical=False).sign(CA.key, hashes.SHA256())

    body = signed(plain, [Log(operator="any").stamp(b"", issuer=CA.certificate)]).tbs_precertificate_bytes
    if for_another:
        body = body.replace(b"a.test", b"b.test")
    return signed(plain, [log.stamp(body, issuer=CA.certificate) for log in logs])
