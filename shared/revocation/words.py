"""What is known of a certificate's revocation, and where to ask."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from shared.extensions import access_urls, extension, is_http

SKEW = timedelta(minutes=5)
"""By how much an authority's clock may differ from ours."""
_LONGEST_URL = 2000


class Revocation(StrEnum):
    """What is known."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"
    """There is an answer, and it does not tell; or it cannot be asked for."""
    UNREACHABLE = "unreachable"
    """There is no answer that may be believed."""


class Means(StrEnum):
    """By what it is known."""

    OCSP = "ocsp"
    CRL = "crl"


@dataclass(frozen=True, kw_only=True)
class Word:
    """What an authority says of a certificate, or why it says nothing."""

    state: Revocation
    evidence: str
    means: Means | None = None
    url: str | None = None
    this_update: datetime | None = None
    next_update: datetime | None = None
    revoked_at: datetime | None = None
    reason: str | None = None
    """As RFC 5280 §5.3.1 names it: `keyCompromise`, `superseded` …"""


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where a certificate says that its revocation can be asked for."""

    ocsp: str | None = None
    crl: str | None = None


def unreachable(evidence: str, *, means: Means, url: str) -> Word:
    """Return that nobody could be asked."""
    return Word(state=Revocation.UNREACHABLE, evidence=evidence, means=means, url=url)


def sources(certificate: x509.Certificate) -> Sources:
    """Return the first HTTP address of each kind."""
    ocsp = access_urls(certificate, AuthorityInformationAccessOID.OCSP)
    return Sources(ocsp=_short(ocsp), crl=_short(_crl_urls(certificate)))


def _short(urls: tuple[str, ...]) -> str | None:
    return next((url for url in urls if len(url) <= _LONGEST_URL and "\x00" not in url), None)


def _crl_urls(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the addresses of CRLs that are the issuer's own and tell all reasons (RFC 5280 §4.2.1.13)."""
    try:
        points = extension(certificate, x509.CRLDistributionPoints)
    except ValueError:
        return ()
    names = [
        name
        for point in points or ()
        if point.crl_issuer is None and point.reasons is None
        for name in point.full_name or ()
    ]
    urls = [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]
    return tuple(url for url in urls if is_http(url))
