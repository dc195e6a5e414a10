"""Whether the certificate that another authority has signed is one that a built-in authority can work with."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from shared.errors import Fault, Invalid
from shared.x509 import is_ca, key_fingerprint, load

X = TypeVar("X", bound=x509.ExtensionType)


def check_imported(
    chain: Sequence[bytes], *, key: CertificatePublicKeyTypes, now: datetime
) -> tuple[list[x509.Certificate], x509.Certificate]:
    """Return the certificates below the root, our own first, and the root.

    Raises `Invalid` where the first is not for our key or not for signing certificates and CRLs
    (RFC 5280 §4.2.1.3), one is not signed by the next or not valid now, or the last is no root.
    """
    given = [load(der) for der in chain]
    if len(given) < 2:  # noqa: PLR2004 - ours and the root
        raise _wrong("there are not both our certificate and its root in it")
    if key_fingerprint(given[0].public_key()) != key_fingerprint(key):
        raise _wrong("the first certificate is for another key than the authority's")
    for each in given:
        _check_authority(each, now=now)
    _check_own(given[0])
    for one, above in [*pairwise(given), (given[-1], given[-1])]:
        _check_signed(one, above)
    return given[:-1], given[-1]


def _check_authority(each: x509.Certificate, *, now: datetime) -> None:
    name = each.subject.rfc4514_string()
    if not each.not_valid_before_utc <= now < each.not_valid_after_utc:
        raise _wrong(f"{name} is not valid now")
    usage = _extension(each, x509.KeyUsage)
    if not is_ca(each) or (usage is not None and not usage.key_cert_sign):
        raise _wrong(f"{name} may not sign certificates")


def _check_own(own: x509.Certificate) -> None:
    usage = _extension(own, x509.KeyUsage)
    if usage is None or not usage.crl_sign:
        raise _wrong("the first certificate may not sign CRLs")
    if _extension(own, x509.SubjectKeyIdentifier) is None:
        raise _wrong("the first certificate has no subject key identifier")


def _extension(certificate: x509.Certificate, kind: type[X]) -> X | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _check_signed(one: x509.Certificate, above: x509.Certificate) -> None:
    try:
        one.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise _wrong(
            f"{one.subject.rfc4514_string()} is not signed by {above.subject.rfc4514_string()}"
        ) from error


def _wrong(reason: str) -> Invalid:
    text = f"The chain cannot be taken: {reason}."
    return Invalid(
        text,
        next_step="Send PEM: the authority's certificate, those above it, and the root last.",
        faults=[Fault(pointer="/body", message=reason)],
    )
