"""What a CA has issued, as holdings: the current certificates, each with the chain of the CA that signed it.

Certificates that have expired or were revoked are not told: nothing can be served with them for long.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509 as parsed
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from services.discovery.domain.holdings import Gap, Holding
from shared import x509
from shared.errors import Invalid

PER_PAGE = 100
MOST_LINKS = 10
"""In a chain, without the leaf."""
_LONGEST_SERIAL = 80
"""Hexadecimal digits; RFC 5280 §4.1.2.2 allows 40, and some CAs took more."""
_UNUSABLE = (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm)


@dataclass(frozen=True, kw_only=True)
class Issued:
    """One certificate that a CA says it has issued."""

    path: str
    der: bytes


class Issuers:
    """The certificates of a CA and those above it, from which chains are made."""

    def __init__(self, certificates: Iterable[bytes] = ()) -> None:
        """Take DER; what cannot be read issues nothing."""
        self._by_subject: dict[bytes, list[tuple[bytes, parsed.Certificate]]] = defaultdict(list)
        for der in dict.fromkeys(certificates):
            try:
                certificate = x509.load(der)
                self._by_subject[certificate.subject.public_bytes()].append((der, certificate))
            except (Invalid, *_UNUSABLE):
                continue

    def chain(self, leaf: bytes) -> tuple[bytes, ...]:
        """Return the leaf and, as far as they are known, the certificates that sign it, up to the root."""
        chain, current = [leaf], x509.load(leaf)
        while len(chain) <= MOST_LINKS:
            above = self._above(current)
            if above is None or above[0] in chain:
                break
            chain.append(above[0])
            current = above[1]
        return tuple(chain)

    def _above(self, certificate: parsed.Certificate) -> tuple[bytes, parsed.Certificate] | None:
        try:
            candidates = self._by_subject.get(certificate.issuer.public_bytes(), ())
        except _UNUSABLE:
            return None
        return next((each for each in candidates if _signs(each[1], certificate)), None)


def serial_of(text: str) -> str | None:
    """Return a serial number written with colons, hyphens, capitals or leading zeros as x509 facts have it."""
    digits = text.replace(":", "").replace("-", "")
    if not digits or len(digits) > _LONGEST_SERIAL or not set(digits) <= set("0123456789abcdefABCDEF"):
        return None
    return f"{int(digits, 16):x}"


def holdings_of(
    issued: Iterable[Issued], *, address: str, issuers: Issuers, now: datetime
) -> tuple[list[Holding], list[Gap]]:
    """Return what is to be told: the current ones, and a gap for each that cannot be read."""
    holdings, gaps = [], []
    for each in issued:
        try:
            facts = x509.read(each.der)
        except Invalid as error:
            gaps.append(unreadable(each.path, error.detail))
            continue
        if facts.not_after < now:
            continue
        chain = issuers.chain(each.der)
        holdings.append(Holding(address=address, path=each.path, chain=chain, format="issued"))
    return holdings, gaps


def unreadable(path: str, reason: str) -> Gap:
    """Return the gap of a certificate that is there and cannot be taken over."""
    return Gap(scope=path, reason=reason, next_step="Look at this certificate at the CA.")


def read_pem(texts: Iterable[object]) -> Sequence[bytes]:
    """Return the certificates of texts that should be PEM, as DER; other texts hold none."""
    found: list[bytes] = []
    for text in texts:
        if isinstance(text, str):
            try:
                found += x509.from_pem(text)
            except Invalid:
                continue
    return found


def _signs(above: parsed.Certificate, certificate: parsed.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(above)
    except _UNUSABLE:
        return False
    return True
