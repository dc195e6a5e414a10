"""Bytes to certificate facts, and the few questions every service asks of a certificate."""

import ipaddress
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtensionOID, NameOID

from shared.errors import Invalid

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


def load(der: bytes) -> x509.Certificate:
    """Parse DER. Raises `Invalid` where it is not a certificate."""
    try:
        with _whatever_it_holds():
            return x509.load_der_x509_certificate(der)
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
        is_ca=_is_ca(certificate),
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
    """Return the key's type (`rsa`, `ecdsa-p256`, `ed25519` …) and its size in bits."""
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
    return type(key).__name__.removesuffix("PublicKey").lower(), 0


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


def _signature_algorithm(certificate: x509.Certificate) -> str:
    oid = certificate.signature_algorithm_oid
    return oid._name if oid._name != "Unknown OID" else oid.dotted_string  # noqa: SLF001 - its only name


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        extension = certificate.extensions.get_extension_for_oid(ExtensionOID.BASIC_CONSTRAINTS)
    except x509.ExtensionNotFound:
        return False
    return isinstance(extension.value, x509.BasicConstraints) and extension.value.ca
