"""Decides which keys there are: a fresh one for each order, and the request that goes out for it."""

from collections.abc import Sequence
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from shared.x509 import general_name

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
_EXPONENT = 65537
_LONGEST = 64
"""X.520 ub-common-name."""


class KeyType(StrEnum):
    """The kinds of key a certificate can have."""

    ECDSA_P256 = "ecdsa-p256"
    ECDSA_P384 = "ecdsa-p384"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    ED25519 = "ed25519"


def new_key(key_type: KeyType) -> PrivateKey:
    """Make a key; an RSA key takes up to a second of CPU."""
    match key_type:
        case KeyType.ECDSA_P256:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyType.ECDSA_P384:
            return ec.generate_private_key(ec.SECP384R1())
        case KeyType.RSA_2048:
            return rsa.generate_private_key(_EXPONENT, 2048)
        case KeyType.RSA_3072:
            return rsa.generate_private_key(_EXPONENT, 3072)
        case KeyType.ED25519:
            return ed25519.Ed25519PrivateKey.generate()


def to_pem(key: PrivateKey) -> bytes:
    """Return PKCS#8 in PEM (RFC 5958): to be sealed at once."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def from_pem(pem: bytes) -> PrivateKey:
    """Return the key of a PEM text that `to_pem` wrote."""
    key = load_pem_private_key(pem, None)
    if not isinstance(key, PrivateKey):
        msg = f"not one of our kinds of key: {type(key).__name__}"
        raise TypeError(msg)
    return key


def new_request(
    key: PrivateKey, names: Sequence[str], *, attributes: Sequence[tuple[x509.ObjectIdentifier, bytes]] = ()
) -> bytes:
    """Return a certification request (PKCS#10, RFC 2986) in DER: the names are in its SAN.

    The first DNS name that fits is its common name too: some authorities take no request without a subject.
    """
    alternatives = x509.SubjectAlternativeName([general_name(name) for name in names])
    short = [
        each.value for each in alternatives if isinstance(each, x509.DNSName) and len(each.value) <= _LONGEST
    ]
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name) for name in short[:1]])
    builder = x509.CertificateSigningRequestBuilder(subject).add_extension(alternatives, critical=False)
    for oid, value in attributes:
        builder = builder.add_attribute(oid, value)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)
