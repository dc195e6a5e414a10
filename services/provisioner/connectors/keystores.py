"""Writes keystores: PKCS#12, and Java's own JKS and JCEKS. The password of the one that is there stays its password.

PKCS#12 is RFC 7292. Java's formats are those of `sun.security.provider.JavaKeyStore` and `KeyProtector` in OpenJDK:
big-endian fields, a hash over password and content at the end, keys hidden by a stream of SHA-1. That hides a key
from nobody who has the file and time; who can, keeps certificates in PKCS#12.
"""

import hashlib
import hmac
import os
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509 as cryptography_x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from services.provisioner.domain import DeploymentError, Failure, Material

USUAL_PASSWORDS = ("changeit", "")
"""Java's own default, and none."""
ALIAS = "everleaf"
"""The entry's name, where there was none."""
_MAGIC = {"jks": 0xFEEDFEED, "jceks": 0xCECECECE}
_KEY, _TRUSTED = 1, 2
_VERSION = 2
_HASH = 20
_WHITENER = b"Mighty Aphrodite"
_PROTECTOR = bytes.fromhex("060a2b060104012a021101010500")
"""The algorithm of Java's KeyProtector (1.3.6.1.4.1.42.2.17.1.1), with NULL for its parameters."""
_SHORT = 0x80


def pkcs12_store(
    present: bytes | None, *, alias: str | None, material: Material, passwords: Sequence[str]
) -> bytes:
    """Return PKCS#12 with this key and chain, under the password of the one that is there. Raises `DeploymentError`."""
    password = first_password(passwords)
    if present is not None:
        password, loaded = _opened(present, passwords)
        refuse_loss(
            loaded.cert.certificate if loaded.cert else None,
            [each.certificate for each in loaded.additional_certs],
        )
        if alias is None and loaded.cert is not None and loaded.cert.friendly_name is not None:
            alias = loaded.cert.friendly_name.decode(errors="replace")
    leaf, *issuers = [cryptography_x509.load_der_x509_certificate(der) for der in material.chain]
    encryption: KeySerializationEncryption = NoEncryption()
    if password:
        encryption = BestAvailableEncryption(password.encode())
    key = load_pem_private_key(material.private_pem, None)
    return pkcs12.serialize_key_and_certificates(
        (alias or ALIAS).encode(),
        key,  # type: ignore[arg-type]  # what is no key of a certificate was refused when the two were paired
        leaf,
        issuers,
        encryption,
    )


def pkcs12_leaf(content: bytes, *, passwords: Sequence[str]) -> bytes | None:
    """Return the DER of the certificate that goes with the key in PKCS#12, or None."""
    try:
        _, loaded = _opened(content, passwords)
    except DeploymentError:
        return None
    return loaded.cert.certificate.public_bytes(Encoding.DER) if loaded.cert else None


def _opened(content: bytes, passwords: Sequence[str]) -> tuple[str, pkcs12.PKCS12KeyAndCertificates]:
    for password in all_passwords(passwords):
        try:
            return password, pkcs12.load_pkcs12(content, password.encode() or None)
        except ValueError:
            continue
    raise refused("No password that the target has opens the keystore that is there.")


def refuse_loss(
    certificate: cryptography_x509.Certificate | None, others: Iterable[cryptography_x509.Certificate]
) -> None:
    """Raise where more is in PKCS#12 than one key and the chain of its certificate."""
    pool = {each.subject: each for each in others}
    while certificate is not None:
        certificate = pool.pop(certificate.issuer, None)
    if pool:
        raise refused("The keystore that is there holds other certificates too, which would be lost.")


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """One entry of a Java keystore: its name, all of its bytes, and the DER of its certificates."""

    alias: str
    raw: bytes
    chain: tuple[bytes, ...]


def java_store(
    present: bytes | None, *, kind: str, alias: str | None, material: Material, passwords: Sequence[str]
) -> bytes:
    """Return a Java keystore in which this entry is new; the others stay as they are. Raises `DeploymentError`."""
    password, entries = first_password(passwords) or USUAL_PASSWORDS[0], list[_Entry]()
    if present is not None:
        password, entries = _java_opened(present, passwords)
    # Java keeps and compares aliases in lower case; a server that names none takes the first entry that has a key.
    named = (alias or next((each.alias for each in entries if _has_key(each)), ALIAS)).lower()
    new = _key_entry(named, material, password=password)
    kept = [new if each.alias.lower() == named else each.raw for each in entries]
    if new not in kept:
        kept.append(new)
    body = struct.pack("!III", _MAGIC[kind], _VERSION, len(kept)) + b"".join(kept)
    return body + _java_hash(body, password=password)


def java_leaf(content: bytes, *, alias: str | None) -> bytes | None:
    """Return the DER of the leaf of an entry with a key, the first where none is named; None where there is none."""
    try:
        entries = list(_entries(content[:-_HASH]))
    except (ValueError, struct.error):
        return None
    wanted = (each for each in entries if _has_key(each) and alias in (None, each.alias))
    named = (each for each in entries if alias is not None and each.alias.lower() == alias.lower())
    return next((each.chain[0] for found in (wanted, named) for each in found if each.chain), None)


def _java_opened(content: bytes, passwords: Sequence[str]) -> tuple[str, list[_Entry]]:
    body, seal = content[:-_HASH], content[-_HASH:]
    for password in all_passwords(passwords):
        if hmac.compare_digest(_java_hash(body, password=password), seal):
            break
    else:
        raise refused("No password that the target has opens the keystore that is there.")
    try:
        return password, list(_entries(body))
    except (ValueError, struct.error) as error:
        raise refused(f"The keystore that is there cannot be read: {error}.") from error


def _entries(body: bytes) -> Iterator[_Entry]:
    """Yield the entries of a Java keystore without its hash. Raises `ValueError` or `struct.error`."""
    fields = _Fields(body)
    magic, version, count = fields.number(4), fields.number(4), fields.number(4)
    if magic not in _MAGIC.values() or version != _VERSION:
        msg = "it is no Java keystore of version 2"
        raise ValueError(msg)
    for _ in range(count):
        start = fields.at
        tag, alias = fields.number(4), fields.take(fields.number(2)).decode(errors="replace")
        fields.take(8)  # when it was made
        if tag not in (_KEY, _TRUSTED):
            msg = "it holds a secret key, whose end only Java finds"
            raise ValueError(msg)
        if tag == _KEY:
            fields.take(fields.number(4))
        chain = tuple(_certificate(fields) for _ in range(fields.number(4) if tag == _KEY else 1))
        yield _Entry(alias=alias, raw=body[start : fields.at], chain=chain)


def _certificate(fields: "_Fields") -> bytes:
    fields.take(fields.number(2))  # "X.509"
    return fields.take(fields.number(4))


class _Fields:
    """Takes big-endian fields from the front."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.at = 0

    def take(self, count: int) -> bytes:
        taken = self._content[self.at : self.at + count]
        if len(taken) < count:
            msg = "it ends too soon"
            raise ValueError(msg)
        self.at += count
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")


def _has_key(entry: _Entry) -> bool:
    return int.from_bytes(entry.raw[:4], "big") == _KEY


def _key_entry(alias: str, material: Material, *, password: str) -> bytes:
    plain = load_pem_private_key(material.private_pem, None).private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
    )
    hidden = _sequence(_sequence(_PROTECTOR), _der(0x04, _hidden(plain, password=password)))
    certificates = b"".join(_short(b"X.509") + _long(der) for der in material.chain)
    head = struct.pack("!I", _KEY) + _short(alias.encode()) + struct.pack("!Q", int(time.time() * 1000))
    return head + _long(hidden) + struct.pack("!I", len(material.chain)) + certificates


def _hidden(plain: bytes, *, password: str) -> bytes:
    """Return a key as Java's KeyProtector hides it: salt, the key under a stream of hashes, and a hash to check it by."""
    secret = password.encode("utf-16-be")
    salt = os.urandom(_HASH)
    stream = b"".join(_stream(secret, salt, length=len(plain)))
    covered = bytes(a ^ b for a, b in zip(plain, stream, strict=False))
    return salt + covered + _sha1(secret, plain)


def _stream(secret: bytes, salt: bytes, *, length: int) -> Iterator[bytes]:
    piece = salt
    for _ in range(-(-length // _HASH)):
        piece = _sha1(secret, piece)
        yield piece


def _java_hash(body: bytes, *, password: str) -> bytes:
    return _sha1(password.encode("utf-16-be"), _WHITENER, body)


def _sha1(*parts: bytes) -> bytes:
    return hashlib.sha1(b"".join(parts)).digest()  # noqa: S324 - the format is what it is


def _short(content: bytes) -> bytes:
    return struct.pack("!H", len(content)) + content


def _long(content: bytes) -> bytes:
    return struct.pack("!I", len(content)) + content


def _sequence(*parts: bytes) -> bytes:
    return _der(0x30, b"".join(parts))


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < _SHORT:
        return bytes([tag, length]) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, _SHORT | len(size)]) + size + content


def first_password(passwords: Sequence[str]) -> str:
    """Return what a new keystore is closed with."""
    return next(iter(passwords), USUAL_PASSWORDS[0])


def all_passwords(passwords: Iterable[str]) -> Iterator[str]:
    """Yield what is tried on a keystore, each once."""
    return iter(dict.fromkeys((*passwords, *USUAL_PASSWORDS)))


def refused(reason: str) -> DeploymentError:
    """Return the failure where a keystore is not changed."""
    return DeploymentError(Failure.STORE_REFUSED, reason, step="stage")
