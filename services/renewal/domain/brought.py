"""Reads a certification request that somebody brought: for which names it is, and by which key."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from services.renewal.domain.names import canonical
from services.renewal.domain.policy import Key
from shared.errors import Fault, Invalid
from shared.x509 import describe_key, key_fingerprint


@dataclass(frozen=True, kw_only=True)
class Brought:
    """A request in DER, and what it says."""

    der: bytes
    names: tuple[str, ...]
    key: Key


def read_csr(pem: str) -> Brought:
    """Read a PKCS#10 request (RFC 2986) in PEM; its names are those of its SAN (RFC 9525 §2).

    Raises `Invalid` where it cannot be read, is not signed by its own key, or names nothing.
    """
    try:
        csr = x509.load_pem_x509_csr(pem.encode())
        is_signed = csr.is_signature_valid
        found = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        kind, bits = describe_key(csr.public_key())
    except x509.ExtensionNotFound:
        raise _refused("it has no subject alternative name") from None
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _refused("it cannot be read") from error
    if not is_signed:
        raise _refused("it is not signed by its own key")
    return Brought(
        der=csr.public_bytes(Encoding.DER),
        names=canonical(_texts(found)),
        key=Key(kind=kind, bits=bits, fingerprint=key_fingerprint(csr.public_key())),
    )


def _texts(found: x509.SubjectAlternativeName) -> list[str]:
    if any(not isinstance(name, x509.DNSName | x509.IPAddress) for name in found):
        raise _refused("it names something that is neither a DNS name nor an IP address")
    return [str(name.value) for name in found]


def _refused(reason: str) -> Invalid:
    text = f"The request in `csr` is not accepted: {reason}."
    return Invalid(
        text,
        next_step="Make one in PEM with the names in its subject alternative name.",
        faults=[Fault(pointer="/body/csr", message=text)],
    )
