"""Decides whether what an authority issued is what was asked for; nothing is renewed before that."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

from shared import x509 as shared_x509
from shared.errors import Invalid, Refused

SKEW = timedelta(minutes=5)
"""How far an authority's clock may be ahead of ours."""
SLACK = timedelta(days=1)
"""How much longer than asked for a certificate may be valid."""
LONGEST_CHAIN = 10
X = TypeVar("X", bound=x509.ExtensionType)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What was asked for. `roots` (DER) is where the chain has to end; with none, it is not known.

    Without a `lifetime`, that is for the authority to decide.
    """

    csr: bytes
    names: tuple[str, ...]
    lifetime: timedelta | None
    roots: tuple[bytes, ...] = ()


def check_chain(chain: Sequence[bytes], *, expected: Expected, now: datetime) -> tuple[bytes, ...]:
    """Return the chain (DER, leaf first) without its root. Raises `Refused` where it is not what was asked for."""
    certificates = _parsed(chain)
    leaf = certificates[0]
    _check_leaf(leaf, expected=expected)
    _check_validity(leaf, expected=expected, now=now)
    _check_links(certificates, now=now)
    if expected.roots:
        _check_end(certificates, roots=expected.roots, now=now)
    elif len(certificates) == 1:
        raise wrong("it came without the certificate of who issued it")
    return tuple(der for der, parsed in zip(chain, certificates, strict=True) if not _is_root(parsed))


def _parsed(chain: Sequence[bytes]) -> list[x509.Certificate]:
    if not 1 <= len(chain) <= LONGEST_CHAIN:
        raise wrong(f"the chain has {len(chain)} certificates")
    try:
        return [shared_x509.load(chain[0]), *map(_authority, chain[1:])]
    except Invalid as error:
        raise wrong("a part of the chain is not a certificate") from error


@lru_cache(maxsize=256)
def _authority(der: bytes) -> x509.Certificate:
    """Return an issuer's certificate: there are few, and each is looked at for every order."""
    return shared_x509.load(der)


def _check_leaf(leaf: x509.Certificate, *, expected: Expected) -> None:
    try:
        key, names, extensions = leaf.public_key(), _alternative_names(leaf), leaf.extensions
    except (ValueError, UnsupportedAlgorithm) as error:
        raise wrong(f"it cannot be read ({error})") from error
    if not _same_key(key, x509.load_der_x509_csr(expected.csr).public_key()):
        raise wrong("it is for another key than ours", rule="RFC 2986 §4")
    if set(names) != set(expected.names):
        told = f"it is for {', '.join(names) or 'no name'} instead of {', '.join(expected.names)}"
        raise wrong(told, rule="RFC 9525 §6.3")
    _check_purpose(extensions)


def _alternative_names(leaf: x509.Certificate) -> tuple[str, ...]:
    # A name in the subject alone is no name for a client (RFC 6125 §6.4.4, RFC 9525 §2).
    has_names = _extension(leaf, x509.SubjectAlternativeName) is not None
    return shared_x509.names(leaf) if has_names else ()


def _same_key(one: CertificatePublicKeyTypes, other: CertificatePublicKeyTypes) -> bool:
    return shared_x509.key_fingerprint(one) == shared_x509.key_fingerprint(other)


def _check_purpose(extensions: x509.Extensions) -> None:
    try:
        usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        raise wrong("it does not say that it is for servers", rule="RFC 5280 §4.2.1.12") from None
    if ExtendedKeyUsageOID.SERVER_AUTH not in usage:
        raise wrong("it is not for servers", rule="RFC 5280 §4.2.1.12")
    try:
        if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            raise wrong("it is an authority's own certificate", rule="RFC 5280 §4.2.1.9")
    except x509.ExtensionNotFound:
        return


def _check_validity(leaf: x509.Certificate, *, expected: Expected, now: datetime) -> None:
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if begins > now + SKEW:
        raise wrong(f"it is not valid before {begins:%Y-%m-%d %H:%M:%S} UTC", rule="RFC 5280 §4.1.2.5")
    if ends <= now:
        raise wrong(f"it has expired at {ends:%Y-%m-%d %H:%M:%S} UTC", rule="RFC 5280 §4.1.2.5")
    if expected.lifetime is not None and ends - begins > expected.lifetime + SLACK:
        raise wrong(f"it is valid for {ends - begins} instead of {expected.lifetime}", rule="the profile")


def _check_links(certificates: Sequence[x509.Certificate], *, now: datetime) -> None:
    for below, (one, issuer) in enumerate(pairwise(certificates)):
        if not _is_issued_by(one, issuer):
            raise wrong(f"certificate {below + 1} of the chain is not signed by the one after it")
        if not _may_issue(issuer, below=below, now=now):
            raise wrong(f"certificate {below + 2} of the chain is not a valid authority")


def _check_end(certificates: Sequence[x509.Certificate], *, roots: Sequence[bytes], now: datetime) -> None:
    # What comes after a certificate of a root of ours, such as that root signed by another, does not count.
    known = [_authority(root) for root in roots]
    for below, last in enumerate(certificates):
        if any(_is_issued_by(last, root) and _may_issue(root, below=below, now=now) for root in known):
            return
    raise wrong("the chain does not end at the authority's root")


def _may_issue(issuer: x509.Certificate, *, below: int, now: datetime) -> bool:
    """Return whether it is an authority, for a chain this deep, and valid now (RFC 5280 §6.1.4 k, m, n)."""
    constraints = _extension(issuer, x509.BasicConstraints)
    usage = _extension(issuer, x509.KeyUsage)
    if constraints is None or not constraints.ca or (usage is not None and not usage.key_cert_sign):
        return False
    is_deep_enough = constraints.path_length is None or below <= constraints.path_length
    return is_deep_enough and issuer.not_valid_before_utc <= now + SKEW and now < issuer.not_valid_after_utc


def _extension(certificate: x509.Certificate, kind: type[X]) -> X | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


@lru_cache(maxsize=256)
def _is_issued_by(one: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


@lru_cache(maxsize=256)
def _is_root(certificate: x509.Certificate) -> bool:
    return certificate.subject == certificate.issuer and _is_issued_by(certificate, certificate)


def wrong(reason: str, *, rule: str = "RFC 5280 §6.1") -> Refused:
    """Return the error for an answer that is not what was asked for, or against a rule: its source."""
    return Refused(
        f"The authority issued a certificate that is not accepted: {reason} ({rule}).",
        next_step="Look at the authority; have the certificate revoked with POST /v1/revocations, and order anew.",
    )
