"""Bytes to certificate facts, and the few questions every service asks of a certificate."""

import ipaddress
import re
import warnings
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtensionOID, NameOID

from shared import der, oids
from shared.errors import Invalid

_PEM = re.compile(
    r"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----([^-]*)-----END (?:X509 |TRUSTED )?CERTIFICATE-----"
)
_UNREADABLE = (
    ValueError,
    TypeError,  # a name attribute of an ASN.1 type that it must not have
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, kw_only=True)
class CertificateFacts:
    """What a certificate says, in the forms that the stores keep.

    Fingerprints are lower-case hexadecimal SHA-256; `serial` is lower-case hexadecimal; names of
    subject and issuer are RFC 4514 strings; `names` holds DNS names (lower case) and IP addresses.
    """

    fingerprint: str
    serial: str
    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    key_type: str
    key_bits: int
    key_fingerprint: str
    """SHA-256 of the SubjectPublicKeyInfo."""
    signature_algorithm: str
    is_ca: bool
    is_self_issued: bool

    @property
    def lifetime(self) -> timedelta:
        """Return how long it is valid, the last second included (BR §6.3.2)."""
        return self.not_after - self.not_before + timedelta(seconds=1)


def fingerprint(der: bytes) -> str:
    """Return the identity of a certificate: the SHA-256 of its DER, in lower-case hexadecimal."""
    return sha256(der).hexdigest()


_KEPT_UP_TO = 16 * 1024
"""Bytes of a certificate that is kept for a while once it is parsed: one and the same is looked at many times in a row."""


@lru_cache(maxsize=512)
def _parsed(der: bytes) -> x509.Certificate:
    with _whatever_it_holds():
        return x509.load_der_x509_certificate(der)


def load(der: bytes) -> x509.Certificate:
    """Parse DER. Raises `Invalid` where it is not a certificate."""
    try:
        return _parsed(der) if len(der) <= _KEPT_UP_TO else _parsed.__wrapped__(der)
    except (ValueError, x509.InvalidVersion) as error:
        raise Invalid(
            f"The bytes are not an X.509 certificate ({error}).", next_step="Send DER or PEM of one."
        ) from error


@contextmanager
def _whatever_it_holds() -> Iterator[None]:
    """What a later parser will refuse is still what somebody serves today: it is shown, not warned about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        yield


def read(der: bytes) -> CertificateFacts:
    """Parse DER into facts. Raises `Invalid` where a part that we need cannot be read."""
    certificate = load(der)
    try:
        with _whatever_it_holds():
            return _facts(certificate, der)
    except _UNREADABLE as error:
        raise Invalid(
            f"The certificate cannot be read ({error}).", next_step="Look at it with `openssl asn1parse`."
        ) from error


def _facts(certificate: x509.Certificate, der: bytes) -> CertificateFacts:
    key = certificate.public_key()
    key_type, bits = describe_key(key)
    return CertificateFacts(
        fingerprint=fingerprint(der),
        serial=f"{certificate.serial_number:x}",
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        names=names(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        key_type=key_type,
        key_bits=bits,
        key_fingerprint=key_fingerprint(key),
        signature_algorithm=_signature_algorithm(certificate),
        is_ca=is_ca(certificate),
        is_self_issued=certificate.subject == certificate.issuer,
    )


def names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return DNS names and IP addresses, sorted; the common name only where there is no SAN."""
    try:
        extension = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return tuple(sorted({str(attribute.value).lower() for attribute in common}))
    san = extension.value
    if not isinstance(san, x509.SubjectAlternativeName):
        return ()
    dns = {name.lower() for name in san.get_values_for_type(x509.DNSName)}
    addresses = {str(address) for address in san.get_values_for_type(x509.IPAddress)}
    return tuple(sorted(dns | addresses))


def general_name(name: str) -> x509.GeneralName:
    """Return the SAN entry for a DNS name or an IP address."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def describe_key(key: PublicKeyTypes | CertificatePublicKeyTypes) -> tuple[str, int]:
    """Return the key's type (`rsa`, `ecdsa-p256`, `ml-dsa-65` …) and its size in bits: for kinds without one, of its bytes."""
    if isinstance(key, rsa.RSAPublicKey):
        return "rsa", key.key_size
    if isinstance(key, ec.EllipticCurvePublicKey):
        curve = {"secp256r1": "p256", "secp384r1": "p384", "secp521r1": "p521"}
        return f"ecdsa-{curve.get(key.curve.name, key.curve.name)}", key.key_size
    if isinstance(key, dsa.DSAPublicKey):
        return "dsa", key.key_size
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519", 256
    if isinstance(key, ed448.Ed448PublicKey):
        return "ed448", 456
    spki = der.value(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    algorithm, bits = spki.inside()
    oid = der.dotted(next(algorithm.inside()).content)
    return oids.KEYS.get(oid, oid), 8 * len(bits.content) - 8


def key_fingerprint(key: PublicKeyTypes | CertificatePublicKeyTypes) -> str:
    """Return the SHA-256 of the key's SubjectPublicKeyInfo: the same for every certificate on it."""
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def to_pem(chain: Sequence[bytes]) -> str:
    """Return DER certificates as one PEM text, in their order."""
    return "".join(load(der).public_bytes(Encoding.PEM).decode() for der in chain)


def from_pem(text: str) -> list[bytes]:
    """Return the certificates of a PEM text as DER. Raises `Invalid` where there is none."""
    try:
        return [c.public_bytes(Encoding.DER) for c in x509.load_pem_x509_certificates(text.encode())]
    except (ValueError, x509.InvalidVersion) as error:
        raise Invalid("The text holds no PEM certificate.", next_step="Send the whole PEM text.") from error


def ders_of_pem(text: str) -> list[bytes]:
    """Return what a PEM text says to be certificates as DER, whether or not they can be read.

    Raises `Invalid` where there is none, or where what stands there is not base64 of an ASN.1 sequence.
    """
    try:
        found = [b64decode("".join(block.split()), validate=True) for block in _PEM.findall(text)]
    except ValueError as error:
        raise Invalid(
            "A certificate in the text is not base64.", next_step="Send the whole PEM text."
        ) from error
    if not found or not all(each.startswith(b"\x30") for each in found):
        raise Invalid("The text holds no PEM certificate.", next_step="Send the whole PEM text.")
    return found


def _signature_algorithm(certificate: x509.Certificate) -> str:
    oid = certificate.signature_algorithm_oid
    return algorithm_name(oid.dotted_string)


def algorithm_name(oid: str) -> str:
    """Return the name of a signature algorithm, or its object identifier where it has none."""
    name = x509.ObjectIdentifier(oid)._name  # noqa: SLF001 - its only name
    return name if name != "Unknown OID" else oids.SIGNATURES.get(oid, oid)


def is_ca(certificate: x509.Certificate) -> bool:
    """Return whether its basic constraints say that it is an authority's."""
    try:
        extension = certificate.extensions.get_extension_for_oid(ExtensionOID.BASIC_CONSTRAINTS)
    except x509.ExtensionNotFound:
        return False
    return isinstance(extension.value, x509.BasicConstraints) and extension.value.ca
