"""Finds the paths from a certificate to a root (RFC 4158), in a bounded number of steps whatever is served."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.inventory.domain.chains.links import Link, faults

MOST_SIGNATURES = 100
"""Verified for one chain: a hundred certificates of one name and key cost no more than this."""
MOST_PATHS = 30
LONGEST = 10

Pool = Mapping[str, Sequence[Link]]
"""Certificates that may have issued others, by the digest of their subject."""


@dataclass(frozen=True, kw_only=True)
class Path:
    """Certificates, each issued by the next; the last is a root, or nobody here knows who has issued it."""

    links: tuple[Link, ...]
    is_open: bool
    """Whether the issuer of the last one is not known."""

    @property
    def store(self) -> str | None:
        """Return the trust store that it ends in."""
        return self.links[-1].store

    @property
    def ends_at(self) -> datetime:
        """Return when the first of its certificates ends."""
        return min(each.not_after for each in self.links)


@dataclass(kw_only=True)
class Search:
    """A search for paths, and what it has looked for on the way."""

    pool: Pool
    wanted: set[str] = field(default_factory=set)
    """Digests of the names of issuers that were looked for."""
    signatures: int = 0
    paths: int = 0

    def from_(self, leaf: Link) -> Iterator[Path]:
        """Yield paths that begin with a certificate."""
        yield from self._on((leaf,))

    def _on(self, links: tuple[Link, ...]) -> Iterator[Path]:
        top = links[-1]
        if self.paths >= MOST_PATHS:
            return
        if top.store is not None or (top.subject == top.issuer and self._is_signed(top, top)):
            self.paths += 1
            yield Path(links=links, is_open=False)
            return
        self.wanted.add(top.issuer)
        above = [each for each in self.pool.get(top.issuer, ()) if not _is_among(each, links)]
        issuers = [each for each in above if self._is_signed(top, each)] if len(links) < LONGEST else []
        for each in issuers:
            yield from self._on((*links, each))
        if not issuers:
            self.paths += 1
            yield Path(links=links, is_open=True)

    def _is_signed(self, each: Link, by: Link) -> bool:
        self.signatures += 1
        return self.signatures <= MOST_SIGNATURES and each.is_signed_by(by)


def _is_among(each: Link, links: Sequence[Link]) -> bool:
    """Return whether the same authority is in a path already, under whatever certificate: it would lead in a circle."""
    key = each.certificate.public_key_algorithm_oid, each.subject
    return any(
        each.fingerprint == other.fingerprint
        or (key == (other.certificate.public_key_algorithm_oid, other.subject) and _have_one_key(each, other))
        for other in links
    )


def _have_one_key(one: Link, other: Link) -> bool:
    try:
        return one.certificate.public_key() == other.certificate.public_key()
    except Exception:  # noqa: BLE001 - a key that cannot be read is equal to none
        return False


def best(paths: Sequence[Path], *, served: Sequence[str], now: datetime) -> Path:
    """Return the path that a patient client would take: trusted, without faults, in date, and served."""

    def rank(path: Path) -> tuple[bool, ...] | tuple[int, ...]:
        return (
            path.store is None,
            path.is_open,
            path.store is not None and any(True for _ in faults(path.links)),
            not all(each.is_valid_at(now) for each in path.links[1:]),
            len(unserved(path, served=served)),
            len(path.links),
        )

    return min(paths, key=rank)


def unserved(path: Path, *, served: Sequence[str]) -> tuple[Link, ...]:
    """Return the certificates of a path that should have been served and were not; roots need not be (RFC 8446 §4.4.2)."""
    between = path.links[1:] if path.is_open else path.links[1:-1]
    return tuple(each for each in between if each.fingerprint not in served)
