"""Decides whether a certificate may be had on a profile's terms: one function for orders, renewals and imports.

Each rule is a small function with its evidence and its remedy; their order is the order in which they are told.
"""

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from services.renewal.domain.keys import KeyType
from services.renewal.domain.names import check_allowed
from shared.errors import EverleafError, Fault, Invalid
from shared.validity import ceiling

_LEAST_RSA = 2048
_PUBLIC_CURVES = frozenset({"ecdsa-p256", "ecdsa-p384", "ecdsa-p521"})
_INTERNAL = (
    "local",
    "localhost",
    "internal",
    "lan",
    "home",
    "corp",
    "test",
    "example",
    "invalid",
    "onion",
    "home.arpa",
)


class Trust(StrEnum):
    """Who trusts an authority."""

    PUBLIC = "public"
    """Browsers do, so the CA/Browser Forum's rules hold."""
    PRIVATE = "private"


class Custody(StrEnum):
    """Where a private key is made and kept."""

    CENTRAL = "central"
    TARGET = "target"
    PKCS11 = "pkcs11"


@dataclass(frozen=True, kw_only=True)
class Key:
    """A public key: its kind as `rsa` or `ecdsa-p256`, its size, and the SHA-256 of its SPKI."""

    kind: str
    bits: int
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked for; `key` is that of a request somebody brought, None where we make it."""

    names: Sequence[str]
    key: Key | None = None
    known_keys: frozenset[str] = frozenset()
    """Fingerprints of the keys that the lineage has had."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a profile and its authority say."""

    allowed_names: Sequence[str]
    key_type: KeyType
    lifetime: timedelta
    trust: Trust = Trust.PRIVATE
    reuses_key: bool = False


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A rule that is not met: what shows it, what to do, and where the rule comes from."""

    rule: str
    at: str
    """A JSON pointer into the request."""
    evidence: str
    remedy: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What may be had: nothing, where a rule is broken; else for `lifetime`, with `notes` on what was changed."""

    broken: tuple[Broken, ...]
    lifetime: timedelta
    notes: tuple[str, ...] = field(default=())

    def require(self) -> None:
        """Raise `Invalid` with all that is broken, where something is."""
        if self.broken:
            faults = [Fault(pointer=each.at, message=each.evidence) for each in self.broken]
            raise Invalid(
                " ".join(dict.fromkeys(each.evidence for each in self.broken)),
                next_step=" ".join(dict.fromkeys(each.remedy for each in self.broken)),
                faults=faults,
            )


Rule = Callable[[Wanted, Rules], Iterator[Broken]]


def judge(wanted: Wanted, rules: Rules, *, now: datetime) -> Verdict:
    """Return what may be had of what is wanted, if it is issued now. Names are canonical."""
    broken = tuple(each for rule in RULES for each in rule(wanted, rules))
    lifetime, notes = clamped(rules.lifetime, trust=rules.trust, now=now)
    return Verdict(broken=broken, lifetime=lifetime, notes=notes)


def clamped(lifetime: timedelta, *, trust: Trust, now: datetime) -> tuple[timedelta, tuple[str, ...]]:
    """Return a lifetime within the ceiling of the day (BR §6.3.2), and a note where it was cut."""
    limit = ceiling(now) if trust is Trust.PUBLIC else None
    if limit is None or lifetime <= limit.longest:
        return lifetime, ()
    note = (
        f"The profile asks for {lifetime.days} days; it is cut to {limit.longest.days}, the most that a publicly "
        f"trusted certificate may last since {limit.begins:%Y-%m-%d} (BR §6.3.2)."
    )
    return limit.longest, (note,)


def _names_are_allowed(wanted: Wanted, rules: Rules) -> Iterator[Broken]:
    for name in wanted.names:
        try:
            check_allowed([name], patterns=rules.allowed_names)
        except EverleafError as error:
            yield Broken(
                rule="name-allowed",
                at="/body/names",
                evidence=error.detail,
                remedy=error.next_step,
                source="the profile",
            )


def _names_are_public(wanted: Wanted, rules: Rules) -> Iterator[Broken]:
    for name in wanted.names if rules.trust is Trust.PUBLIC else ():
        if _is_internal(name):
            yield Broken(
                rule="name-public",
                at="/body/names",
                evidence=f"The name {name!r} is an internal one, and no public authority may issue for it.",
                remedy="Use a profile of a private authority.",
                source="BR §7.1.2.7.12",
            )


def _is_internal(name: str) -> bool:
    try:
        return not ipaddress.ip_address(name).is_global
    except ValueError:
        host = name.removeprefix("*.")
        return "." not in host or host.endswith(tuple(f".{each}" for each in _INTERNAL))


def _key_is_strong(wanted: Wanted, rules: Rules) -> Iterator[Broken]:
    if wanted.key is not None and (fault := _weakness(wanted.key, trust=rules.trust)) is not None:
        yield Broken(
            rule="key-strength",
            at="/body/csr",
            evidence=f"The key of the request {fault}.",
            remedy=f"Make a new {rules.key_type} key and a request with it.",
            source="BR §6.1.5",
        )


def _weakness(key: Key, *, trust: Trust) -> str | None:
    if key.kind == "rsa":
        if key.bits < _LEAST_RSA:
            return f"is RSA of {key.bits} bits, fewer than {_LEAST_RSA}"
        return f"is RSA of {key.bits} bits, not a multiple of 8" if key.bits % 8 else None
    if trust is Trust.PUBLIC and key.kind not in _PUBLIC_CURVES:
        return f"is {key.kind}, which public authorities may not take"
    return None


def _key_is_of_the_profile(wanted: Wanted, rules: Rules) -> Iterator[Broken]:
    if wanted.key is not None and written(wanted.key) != rules.key_type:
        yield Broken(
            rule="key-type",
            at="/body/csr",
            evidence=f"The key of the request is {written(wanted.key)}, and the profile wants {rules.key_type}.",
            remedy=f"Make a new {rules.key_type} key and a request with it, or use another profile.",
            source="the profile",
        )
    if wanted.key is None and rules.trust is Trust.PUBLIC and rules.key_type is KeyType.ED25519:
        yield Broken(
            rule="key-type",
            at="/body/profile",
            evidence="The profile wants ed25519 keys, which public authorities may not take.",
            remedy="Change the profile's key type to an ECDSA or RSA one.",
            source="BR §6.1.5",
        )


def _key_is_new(wanted: Wanted, rules: Rules) -> Iterator[Broken]:
    if wanted.key is not None and not rules.reuses_key and wanted.key.fingerprint in wanted.known_keys:
        yield Broken(
            rule="key-new",
            at="/body/csr",
            evidence="The key of the request is one that the lineage has had before.",
            remedy="Make a new key, or use a profile that reuses keys and says why.",
            source="the profile",
        )


RULES: tuple[Rule, ...] = (
    _names_are_allowed,
    _names_are_public,
    _key_is_strong,
    _key_is_of_the_profile,
    _key_is_new,
)


def written(key: Key) -> str:
    """Return a key as profiles name its kind: `rsa-3072`, `ecdsa-p256`."""
    return f"rsa-{key.bits}" if key.kind == "rsa" else key.kind
