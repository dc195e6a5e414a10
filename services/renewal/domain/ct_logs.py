"""Which CT logs browsers believe, and whether a timestamp is one of theirs (RFC 6962)."""

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.certificate_transparency import SignedCertificateTimestamp
from pydantic import Base64Bytes, BaseModel, ValidationError

from shared.errors import Invalid

LogKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

_TAKEN = {"qualified", "usable", "readonly"}
"""The states of a log whose timestamps count in a certificate of now (Chrome CT policy, "CT log states")."""
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - `cryptography` gives timestamps in UTC that do not say so
_MILLISECOND = timedelta(milliseconds=1)
_PRECERTIFICATE = 1
"""The entry type that an embedded timestamp was given for (RFC 6962 §3.1)."""


@dataclass(frozen=True, kw_only=True)
class Log:
    """A log that browsers believe."""

    name: str
    operator: str
    key: LogKey


LogList = Mapping[bytes, Log]
"""By what names a log in a timestamp: the SHA-256 of its key (RFC 6962 §3.2)."""


class _Entry(BaseModel):
    description: str = ""
    key: Base64Bytes
    state: dict[str, object] = {}


class _Operator(BaseModel):
    name: str
    logs: list[_Entry] = []
    tiled_logs: list[_Entry] = []


class _Document(BaseModel):
    operators: list[_Operator]


def read_log_list(document: bytes) -> LogList:
    """Read a list as browsers publish it (log list schema 3). Raises `Invalid`."""
    try:
        operators = _Document.model_validate_json(document).operators
    except ValidationError as error:
        first = error.errors()[0]
        raise _not_a_list(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    logs = {}
    for operator in operators:
        for entry in (*operator.logs, *operator.tiled_logs):
            if _TAKEN & entry.state.keys():
                log = Log(name=entry.description, operator=operator.name, key=_key(entry))
                logs[hashlib.sha256(entry.key).digest()] = log
    if not logs:
        raise _not_a_list("it holds no log that is usable")
    return logs


def _key(entry: _Entry) -> LogKey:
    try:
        key = load_der_public_key(entry.key)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, LogKey):
        raise _not_a_list(f"the key of {entry.description!r} is no ECDSA or RSA key")
    return key


def _not_a_list(why: str) -> Invalid:
    return Invalid(
        f"The list of CT logs cannot be read: {why[:300]}.",
        next_step="Fetch it again from where a browser's maker publishes it, such as log_list.json, in version 3.",
    )


def is_by(log: Log, timestamp: SignedCertificateTimestamp, *, leaf: x509.Certificate, issuer: bytes) -> bool:
    """Whether a log has signed an embedded timestamp for this certificate; `issuer` is the DER of who signed that."""
    try:
        signed = _signed(timestamp, leaf=leaf, issuer=issuer)
        if isinstance(log.key, rsa.RSAPublicKey):
            log.key.verify(timestamp.signature, signed, padding.PKCS1v15(), hashes.SHA256())
        else:
            log.key.verify(timestamp.signature, signed, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False
    return True


def _signed(timestamp: SignedCertificateTimestamp, *, leaf: x509.Certificate, issuer: bytes) -> bytes:
    """Return what a log signs of a precertificate (RFC 6962 §3.2, `digitally-signed`)."""
    spki = x509.load_der_x509_certificate(issuer).public_key()
    key_hash = hashlib.sha256(spki.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    at = (timestamp.timestamp - _EPOCH) // _MILLISECOND
    body = leaf.tbs_precertificate_bytes
    extensions = timestamp.extension_bytes
    head = struct.pack(">BBQH", 0, 0, at, _PRECERTIFICATE)
    sized = len(body).to_bytes(3, "big") + body + struct.pack(">H", len(extensions)) + extensions
    return head + key_hash + sized
