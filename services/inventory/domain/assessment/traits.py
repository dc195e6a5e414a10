"""What the bytes of a certificate say that assessment needs and nobody else keeps."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtensionOID

from shared.x509 import load

_SCTS = ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS
_OF_CABF = "2.23.140.1."
"""Policies that the CA/Browser Forum has reserved (BR §7.1.6.1): only publicly trusted authorities assert them."""
_LARGEST = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Traits:
    """`is_public` is None where the bytes do not tell."""

    is_public: bool | None = None
    rsa_exponent: int | None = None


def traits(der: bytes | None) -> Traits:
    """Read the traits of a certificate, whatever is wrong with it."""
    if not der:
        return Traits()
    try:
        certificate = load(der)
        return Traits(is_public=_is_public(certificate), rsa_exponent=_exponent(certificate))
    except Exception:  # noqa: BLE001 - hostile bytes find every weakness of a parser; none may stop a batch
        return Traits()


def _is_public(certificate: x509.Certificate) -> bool:
    """Return whether it carries proof of being logged, or asserts a policy of the CA/Browser Forum."""
    for extension in certificate.extensions:
        if extension.oid == _SCTS:
            return True
        value = extension.value
        if isinstance(value, x509.CertificatePolicies):
            return any(each.policy_identifier.dotted_string.startswith(_OF_CABF) for each in value)
    return False


def _exponent(certificate: x509.Certificate) -> int | None:
    key = certificate.public_key()
    return min(key.public_numbers().e, _LARGEST) if isinstance(key, rsa.RSAPublicKey) else None
