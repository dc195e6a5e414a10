"""What is judged: an endpoint or a store, the certificate there, and how TLS is spoken."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property

from shared.events.discovery import TlsFacts

TLS13, TLS12, TLS11, TLS10, SSL3, SSL2 = "TLSv1.3", "TLSv1.2", "TLSv1.1", "TLSv1", "SSLv3", "SSLv2"
VERSIONS = (TLS13, TLS12, TLS11, TLS10, SSL3, SSL2)
"""Newest first."""
HYBRIDS = ("X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024")
"""Groups that stand while either of their halves does (RFC 10024)."""
PURE_KEMS = ("MLKEM512", "MLKEM768", "MLKEM1024")
_MOST_SHOWN = 12


class Result(StrEnum):
    """What came of a demand."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Tls:
    """How an endpoint speaks TLS, as far as it is known.

    Of a look at depth `full` everything is known; of a quick one what was negotiated at the highest version, and
    nothing of what else would be.
    """

    is_full: bool
    is_complete: bool = True
    """Of a full look: no connection was missed, so what is not listed is not offered."""
    versions: tuple[str, ...] = ()
    """Newest first."""
    suites: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    """In the order in which the server chooses them."""
    dh_bits: tuple[int, ...] = ()
    is_http: bool | None = None
    """Whether HTTP is among its protocols (ALPN)."""
    is_stapled: bool | None = None
    compresses: bool | None = None
    secure_renegotiation: bool | None = None
    fallback_scsv: bool | None = None
    downgrade_sentinel: bool | None = None
    resumes_by_id: bool | None = None
    resumes_by_ticket: bool | None = None
    server_order: Mapping[str, bool] = field(default_factory=dict)
    """By version: whether the server's order of suites decides."""
    flaws: Mapping[str, bool] = field(default_factory=dict)
    """By name: whether it has a known weakness; what could not be checked is not named."""
    flaw_reasons: Mapping[str, str] = field(default_factory=dict)
    hsts_max_age: timedelta | None = None
    """Nothing at all where HSTS is known not to be sent."""

    @property
    def knows_all(self) -> bool:
        """Return whether what is not listed is not offered."""
        return self.is_full and self.is_complete

    @cached_property
    def all_suites(self) -> tuple[str, ...]:
        """Return the suites of all versions, each once."""
        return tuple(dict.fromkeys(name for names in self.suites.values() for name in names))

    def is_without(self, version: str) -> bool:
        """Return whether it is known that a version is not spoken."""
        if version in self.versions:
            return False
        if self.knows_all:
            return True
        # A quick look negotiates the highest version there is.
        highest = min((VERSIONS.index(each) for each in self.versions if each in VERSIONS), default=None)
        is_newer = highest is not None and version in VERSIONS and VERSIONS.index(version) < highest
        return is_newer and not self.is_full


def full(facts: TlsFacts) -> Tls:
    """Return what a look at depth `full` has shown."""
    return Tls(
        is_full=True,
        is_complete=facts.is_complete,
        versions=tuple(facts.versions),
        suites={version: tuple(names) for version, names in facts.suites.items()},
        groups=tuple(facts.groups),
        dh_bits=tuple(facts.dh_bits),
        is_http=_is_http(facts),
        is_stapled=facts.is_stapled,
        compresses=facts.compresses,
        secure_renegotiation=facts.secure_renegotiation,
        fallback_scsv=facts.fallback_scsv,
        downgrade_sentinel=facts.downgrade_sentinel,
        resumes_by_id=facts.resumes_by_id,
        resumes_by_ticket=facts.resumes_by_ticket,
        server_order={version: whose == "server" for version, whose in facts.preference.items()},
        flaws={
            name: flaw.finding == "vulnerable"
            for name, flaw in facts.flaws.items()
            if flaw.finding != "unchecked"
        },
        flaw_reasons={name: flaw.reason for name, flaw in facts.flaws.items()},
        hsts_max_age=_hsts_max_age(facts),
    )


def _is_http(facts: TlsFacts) -> bool | None:
    """Return whether HTTP is spoken: by the answer to a request, else by the protocols that are offered."""
    if facts.hsts is not None and facts.hsts.header != "unchecked":
        return facts.hsts.header != "not_http"
    return any(each.startswith(("h2", "http/")) for each in facts.alpn) if facts.alpn else None


def _hsts_max_age(facts: TlsFacts) -> timedelta | None:
    if facts.hsts is None or facts.hsts.header not in ("sent", "absent"):
        return None
    return timedelta(seconds=facts.hsts.max_age or 0)


def fast(*, version: str | None, suite: str | None, group: str | None) -> Tls | None:
    """Return what a quick look has shown; None where it has shown nothing of TLS."""
    if version is None:
        return None
    return Tls(
        is_full=False,
        versions=(version,),
        suites={version: (suite,)} if suite else {},
        groups=(group,) if group else (),
    )


def latest(
    looked: Tls | None, seen: Tls | None, *, looked_at: datetime | None, seen_at: datetime | None
) -> Tls | None:
    """Return what is known after a look at depth `full` and a quick one: the full one, unless the quick one belies it."""
    if looked is None or looked_at is None:
        return seen
    is_later = seen is not None and seen_at is not None and seen_at > looked_at
    return seen if seen is not None and is_later and is_outdated(looked, seen) else looked


def is_outdated(known: Tls, seen: Tls) -> bool:
    """Return whether a later, quick look has shown what the full one before it says is not offered."""
    if not known.knows_all:
        return False
    return bool(
        set(seen.versions) - set(known.versions)
        or set(seen.groups) - set(known.groups)
        or any(set(names) - set(known.suites.get(version, ())) for version, names in seen.suites.items())
    )


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A certificate at a place. What is None is not known, unless said otherwise."""

    is_endpoint: bool = True
    server_name: str | None = None
    """The name that was asked for; None where none was."""
    starttls: str | None = None
    """The protocol before TLS; None where TLS is spoken at once."""
    tls: Tls | None = None
    names: tuple[str, ...] = ()
    not_before: datetime | None = None
    not_after: datetime | None = None
    key_type: str | None = None
    key_bits: int | None = None
    rsa_exponent: int | None = None
    """Also None for other keys than RSA's."""
    signature_algorithm: str | None = None
    is_self_issued: bool = False
    is_public: bool | None = None
    """Whether a publicly trusted authority has issued it."""
    is_trusted: bool | None = None
    """Whether its chain leads to a root that is trusted."""
    is_revoked: bool | None = None
    is_chain_complete: bool | None = None
    """Whether all between it and the root is served."""
    hsts_max_age: timedelta | None = None

    @property
    def lifetime(self) -> timedelta | None:
        """Return how long it is valid, the last second included (CA/Browser Forum BR §6.3.2)."""
        if self.not_before is None or self.not_after is None:
            return None
        return self.not_after - self.not_before + timedelta(seconds=1)

    @property
    def key_kind(self) -> str | None:
        """Return the key's type without its curve: rsa, ecdsa, ed25519 and so on."""
        return self.key_type.partition("-")[0] if self.key_type else None


def covers(names: Collection[str], name: str) -> bool:
    """Return whether a certificate with these names is good for a name (RFC 9525 §6.3)."""
    wanted = name.lower().rstrip(".")
    _, dot, domain = wanted.partition(".")
    return wanted in names or (bool(dot) and f"*.{domain}" in names)


def listed(items: Iterable[object]) -> str:
    """Return a list for people, of which not everything is shown where it is long."""
    texts = [str(item) for item in items]
    more = len(texts) - _MOST_SHOWN
    return ", ".join(texts[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")
