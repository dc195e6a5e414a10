"""What belongs together, and how bad it is that it does: shared keys, wide wildcards, duplicates, authorities."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from services.inventory.domain.thresholds import Limit
from shared.events.inventory import Urgency

AUTHORITY_LIMITS: Mapping[Urgency, Limit] = {
    Urgency.RENEW: Limit(span=timedelta(days=365)),
    Urgency.WARNING: Limit(span=timedelta(days=180)),
    Urgency.ERROR: Limit(span=timedelta(days=90)),
    Urgency.CRITICAL: Limit(span=timedelta(days=30)),
}
"""Of an authority's end: a third of twenty years would be too early, and a new one takes longer than a new leaf."""
_MOST = 2_000_000


class Kind(StrEnum):
    """Kinds of what can be spread."""

    KEY = "key"
    WILDCARD = "wildcard"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, kw_only=True)
class Spread:
    """In how many certificates and places something is."""

    certificates: int = 0
    addresses: int = 0
    """Where it is served."""
    hosts: int = 0
    """That hold it in a store."""
    places: int = 0

    @property
    def is_shared(self) -> bool:
        """Return whether it is in more than one certificate, address or host."""
        return max(self.certificates, self.addresses, self.hosts) > 1

    @property
    def weight(self) -> int:
        """Return a number that grows with how bad it is: first with the machines, then with the certificates."""
        return 1000 * min(max(self.addresses, self.hosts), _MOST) + min(self.certificates, 999)


def is_wildcard(names: Iterable[str]) -> bool:
    """Return whether a certificate is for all names below one."""
    return any(name.startswith("*.") for name in names)


def twin_digest(*, names: Sequence[str], issuer: str | None, key_type: str | None) -> str | None:
    """Return a value that certificates share which are for the same names, by one issuer, on one kind of key.

    A server may well have an RSA certificate beside its ECDSA certificate: those are no duplicates.
    """
    if not names or issuer is None:
        return None
    kind = (key_type or "").partition("-")[0]
    return sha256("\n".join([issuer, kind, *sorted(set(names))]).encode()).hexdigest()


def is_overlapping(periods: Iterable[tuple[datetime | None, datetime | None]]) -> bool:
    """Return whether any two of these periods have an instant in common."""
    known = sorted((begins, ends) for begins, ends in periods if begins is not None and ends is not None)
    latest: datetime | None = None
    for begins, ends in known:
        if latest is not None and begins <= latest:
            return True
        latest = ends if latest is None else max(latest, ends)
    return False
