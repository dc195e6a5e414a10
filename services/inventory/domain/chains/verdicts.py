"""Judges a chain as it is served: what is wrong with it, worst first, and the path that a client can take."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.inventory.domain.chains.links import Link, faults, issuer_urls, link
from services.inventory.domain.chains.paths import Path, Search, best, unserved
from shared.extensions import is_authority, storable

PUBLIC = "public"
"""The name of the trust store whose roots make a certificate a public one."""
OWN = "own"
"""The name of the trust store that holds the organisation's own roots."""
MOST_JUDGED = 30
"""Certificates of one chain that are looked at: no honest server sends more."""
_LONGEST = 2000


class ChainState(StrEnum):
    """What is wrong with a chain, the worst first."""

    UNREADABLE = "unreadable"
    """The certificate's bytes are missing, or are none that can be judged."""
    SELF_SIGNED = "self-signed"
    """The certificate has signed itself, and no trust store has it."""
    UNTRUSTED = "untrusted"
    """It leads to no root of a trust store."""
    INVALID = "invalid"
    """It breaks a rule of RFC 5280 §6.1: somebody has issued who may not."""
    EXPIRED_ISSUER = "expired-issuer"
    """An intermediate or the root is out of its dates."""
    INCOMPLETE = "incomplete"
    """An intermediate is not served: clients that do not know it refuse the certificate."""
    WRONG_ORDER = "wrong-order"
    """An issuer comes before what it has issued (RFC 5246 §7.4.2); some clients refuse that."""
    OUTLIVES_ISSUER = "outlives-issuer"
    """The certificate is valid for longer than one above it: it will fail before its own end."""
    EXTRA = "extra"
    """Certificates are served twice, or have issued nothing in the chain."""
    VALID = "valid"


_RANK = {state: rank for rank, state in enumerate(ChainState)}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong, and what shows it."""

    state: ChainState
    evidence: str


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A certificate that may issue others, as it is found again."""

    fingerprint: str
    der: bytes
    subject: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was found out about a chain, at one instant and with what was known then."""

    problems: tuple[Problem, ...] = ()
    path: tuple[str, ...] = ()
    """Fingerprints of the best path there is, leaf first."""
    missing: tuple[str, ...] = ()
    """Fingerprints of intermediates that should be served too; they are known here."""
    store: str | None = None
    """The trust store that the path ends in."""
    is_public: bool = False
    """Whether any path leads to a public root, in date or not."""
    trusted_until: datetime | None = None
    """When the path ends, where it is one that clients accept."""
    changes_at: datetime | None = None
    """When the next certificate of the path begins or ends."""
    issuer: Authority | None = None
    authorities: tuple[Authority, ...] = ()
    """Authorities that were served."""
    wanted: frozenset[str] = frozenset()
    """Digests of the names of issuers that were looked for."""
    fetchable: tuple[str, ...] = ()
    """Where the unknown issuer is said to be."""

    @property
    def state(self) -> ChainState:
        """Return the worst that is wrong."""
        return min((each.state for each in self.problems), key=_RANK.__getitem__, default=ChainState.VALID)


class Roots:
    """The trust stores, ready to be searched."""

    def __init__(self, stores: Mapping[str, Sequence[bytes]]) -> None:
        """Take DER by the name of the store; what cannot be read is left out."""
        self.by_fingerprint: dict[str, Link] = {}
        for store, ders in stores.items():
            for der in ders:
                root = link(der, store=store)
                if root is not None:
                    self.by_fingerprint.setdefault(root.fingerprint, root)


def judge(served: Sequence[bytes], *, roots: Roots, known: Sequence[bytes], now: datetime) -> Verdict:
    """Judge a chain, leaf first; `known` are certificates that may be missing in it."""
    leaf = link(served[0]) if served else None
    if leaf is None:
        return Verdict(
            problems=(_problem(ChainState.UNREADABLE, "Its bytes are no certificate that can be read."),)
        )
    leaf = roots.by_fingerprint.get(leaf.fingerprint, leaf)
    above = [each for each in map(link, served[1:MOST_JUDGED]) if each is not None]
    search = Search(pool=_pool(roots, above, [each for each in map(link, known) if each is not None]))
    paths = list(search.from_(leaf))
    prints = [each.fingerprint for each in above]
    path = best(paths, served=prints, now=now)
    problems = tuple(_problems(path, above=above, now=now))
    trusted = path.store is not None and not any(each.state in _FATAL for each in problems)
    edges = [edge for each in path.links for edge in (each.not_before, each.not_after) if edge > now]
    return Verdict(
        problems=tuple(sorted(problems, key=lambda each: _RANK[each.state])),
        path=tuple(each.fingerprint for each in path.links),
        missing=tuple(each.fingerprint for each in unserved(path, served=prints)),
        store=path.store,
        is_public=any(each.store == PUBLIC for each in paths),
        trusted_until=path.ends_at if trusted else None,
        changes_at=min(edges, default=None),
        issuer=_authority(path.links[1]) if len(path.links) > 1 else None,
        authorities=tuple(_authority(each) for each in (leaf, *above) if is_authority(each.certificate)),
        wanted=frozenset(search.wanted),
        fetchable=issuer_urls(path.links[-1].certificate) if path.is_open else (),
    )


_FATAL = frozenset(
    {ChainState.UNTRUSTED, ChainState.INVALID, ChainState.EXPIRED_ISSUER, ChainState.SELF_SIGNED}
)


def _pool(roots: Roots, above: Sequence[Link], known: Sequence[Link]) -> Mapping[str, Sequence[Link]]:
    """Return all that may have issued something, by subject: roots first, then what is served."""
    pool: dict[str, dict[str, Link]] = defaultdict(dict)
    for each in (*roots.by_fingerprint.values(), *above, *known):
        pool[each.subject].setdefault(each.fingerprint, each)
    return {subject: list(links.values()) for subject, links in pool.items()}


def _problems(path: Path, *, above: Sequence[Link], now: datetime) -> Iterator[Problem]:
    leaf, top = path.links[0], path.links[-1]
    if path.is_open and len(path.links) == 1:
        yield _problem(
            ChainState.INCOMPLETE,
            f"{leaf.issuer_title} has issued it, which is neither served nor known here.",
        )
    elif path.is_open:
        yield _problem(
            ChainState.UNTRUSTED, f"No trust store has {top.issuer_title}, which has issued {top.title}."
        )
    elif top.store is None and len(path.links) == 1:
        yield _problem(ChainState.SELF_SIGNED, "It has signed itself, and is in no trust store.")
    elif top.store is None:
        yield _problem(ChainState.UNTRUSTED, f"It leads to {top.title}, which is in no trust store.")
    for fault in faults(path.links):
        yield _problem(ChainState.INVALID, fault)
    for each in path.links[1:]:
        if not each.is_valid_at(now):
            dates = f"{each.not_before:%Y-%m-%d} to {each.not_after:%Y-%m-%d}"
            yield _problem(ChainState.EXPIRED_ISSUER, f"{each.title} is valid from {dates}.")
        elif leaf.not_after > each.not_after:
            yield _problem(
                ChainState.OUTLIVES_ISSUER, f"{each.title} ends before it, at {each.not_after:%Y-%m-%d}."
            )
    missing = unserved(path, served=[each.fingerprint for each in above])
    if missing:
        titles = "; ".join(f"{each.title} ({each.fingerprint})" for each in missing)
        yield _problem(ChainState.INCOMPLETE, f"Not served, and known here: {titles}.")
    yield from _as_served(leaf, above)


def _as_served(leaf: Link, above: Sequence[Link]) -> Iterator[Problem]:
    """Yield what is wrong with the order; a chain may hold several certificates of one authority (cross-signed)."""
    seen = {leaf.fingerprint}
    for where, (each, below) in enumerate(zip(above, _relations(leaf, above), strict=True)):
        if each.fingerprint in seen:
            yield _problem(ChainState.EXTRA, f"{each.title} is served more than once.")
        elif not below:
            yield _problem(ChainState.EXTRA, f"{each.title} has issued nothing in the chain.")
        elif min(below) > where:
            yield _problem(ChainState.WRONG_ORDER, f"{each.title} comes before what it has issued.")
        seen.add(each.fingerprint)


def _relations(leaf: Link, above: Sequence[Link]) -> list[list[int]]:
    """Return for each of those above which others it has issued, by their numbers, the leaf being -1."""
    everyone = [(-1, leaf), *enumerate(above)]
    return [
        [
            number
            for number, other in everyone
            if number != mine
            and other.issuer == each.subject
            and other.fingerprint != each.fingerprint
            and other.is_signed_by(each)
        ]
        for mine, each in enumerate(above)
    ]


def _problem(state: ChainState, evidence: str) -> Problem:
    return Problem(state=state, evidence=storable(evidence, most=_LONGEST))


def _authority(each: Link) -> Authority:
    return Authority(fingerprint=each.fingerprint, der=each.der, subject=each.subject)
