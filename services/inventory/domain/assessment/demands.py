"""What a rule can demand, and whether a subject meets it: each kind is a model with `judge`.

`judge` returns `unknown` wherever a fact that it would need is missing: of what a server offers, a quick look shows a
part, which can break a demand and cannot meet it.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.inventory.domain.assessment.facts import Result, Subject, Tls, listed
from services.inventory.domain.assessment.suites import suite

Name = Annotated[str, Field(min_length=1, max_length=100)]
Names = Annotated[list[Name], Field(min_length=1, max_length=200)]
Version = Literal["TLSv1.3", "TLSv1.2", "TLSv1.1", "TLSv1", "SSLv3", "SSLv2"]
NO_DEPTH = "no look at depth full is known, and what was negotiated says nothing of it"
MISSED = "not every connection of the look came about"


class Judgement(NamedTuple):
    """What came of a demand, and what shows it."""

    result: Result
    evidence: str = ""


PASSED = Judgement(Result.PASS)


class Demand(BaseModel):
    """A demand on how TLS is spoken, or on the certificate alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    is_of_tls: ClassVar[bool] = True

    def judge(self, subject: Subject) -> Judgement:
        """Return whether a subject meets it."""
        if subject.tls is None:
            return Judgement(Result.UNKNOWN, NO_DEPTH)
        return self.judge_tls(subject.tls)

    def judge_tls(self, tls: Tls) -> Judgement:
        """Return whether an endpoint meets it."""
        raise NotImplementedError


class VersionsWithin(Demand):
    """No other version is offered."""

    kind: Literal["versions_within"]
    values: list[Version] = Field(min_length=1)

    def judge_tls(self, tls: Tls) -> Judgement:
        """Return whether an endpoint meets it."""
        return _within(tls.versions, self.values, tls=tls, verb="offers")


class VersionsInclude(Demand):
    """Each of these versions is offered."""

    kind: Literal["versions_include"]
    values: list[Version] = Field(min_length=1)

    def judge_tls(self, tls: Tls) -> Judgement:
        """Return whether an endpoint meets it."""
        missing = [version for version in self.values if version not in tls.versions]
        absent = [version for version in missing if tls.is_without(version)]
        if absent:
            return Judgement(Result.FAIL, f"does not offer {listed(absent)}")
        return PASSED if not missing else _unknown(tls)


class SuitesWithin(Demand):
    """Of each version that is named, no other suite is offered; of versions that are not, any may be."""

    kind: Literal["suites_within"]
    values: dict[Version, list[Name]] = Field(min_length=1)

    def judge_tls(self, tls: Tls) -> Judgement:
        """Return whether an endpoint meets it."""
        others = [
            name
            for version, allowed in self.values.items()
            for name in tls.suites.get(version, ())
            if name not in allowed
        ]
        if others:
            return Judgement(Result.FAIL, f"offers {listed(dict.fromkeys(others))}")
        return PASSED if tls.knows_all else _unknown(tls)


class SuitesWithout(Demand):
    """No suite is offered with any of these in its name, as `RC4`, `3DES`, `NULL`, `EXPORT`, `anon`, `CBC`."""

    kind: Literal["suites_without"]
    values: Names

    def judge_tls(self, tls: Tls) -> Judgement:
        """Return whether an endpoint meets it."""
        found = [name for name in tls.all_suites if any(part in name for part in self.values)]
        if found:
            return Judgement(Result.FAIL, f"offers {listed(found)}")
        return PASSED if tls.knows_all else _unknown(tls)


class ForwardSecrecy(Demand):
    """Only suites with ephemeral keys are offered."""

    kind: Literal["forward_secrecy"]

    def judge_tls(self, tls: Tls) -> Judgement:
        """Return whether an endpoint meets it."""
        found = [name for name in tls.all_suites if not suite(name).is_forward_secret]
        if found:
            return Judgement(Result.FAIL, f"offers {listed(found)}")
        return PASSED if tls.knows_all else _unknown(tls)


class GroupsWithin(Demand):
    """No other group is offered for key exchange."""

    kind: Literal["groups_within"]
    values: Names

    def judge_tls(self, tls: Tls) -> Judgement:
        """Return whether an endpoint meets it."""
        return _within(tls.groups, self.values, tls=tls, verb="offers")


class GroupsInclude(Demand):
    """At least one of these groups is offered for key exchange."""

    kind: Literal["groups_include"]
    values: Names

    def judge_tls(self, tls: Tls) -> Judgement:
        """Return whether an endpoint meets it."""
        if set(tls.groups) & set(self.values):
            return PASSED
        if not tls.knows_all:
            return _unknown(tls)
        offered = listed(tls.groups) or "no group"
        return Judgement(Result.FAIL, f"offers {offered}, and none of {listed(self.values)}")


class DhBitsAtLeast(Demand):
    """Primes of finite-field Diffie-Hellman have this many bits."""

    kind: Literal["dh_bits_at_least"]
    bits: int = Field(ge=512, le=16384)

    def judge_tls(self, tls: Tls) -> Judgement:
        """Return whether an endpoint meets it."""
        short = [bits for bits in tls.dh_bits if bits < self.bits]
        if short:
            return Judgement(Result.FAIL, f"sends a prime of {listed(short)} bits")
        has_dh = any(suite(name).has_dh for name in tls.all_suites)
        return PASSED if tls.knows_all and (tls.dh_bits or not has_dh) else _unknown(tls)


_FEATURES = {
    "compresses": ("takes TLS compression", "does not take TLS compression"),
    "secure_renegotiation": ("renegotiates securely", "does not support secure renegotiation (RFC 5746)"),
    "fallback_scsv": ("refuses downgrades", "takes a hello that was downgraded (RFC 7507)"),
    "downgrade_sentinel": ("marks downgrades", "does not mark downgrades (RFC 8446 §4.1.3)"),
    "is_stapled": ("staples OCSP", "does not staple OCSP"),
    "resumes_by_id": ("resumes sessions by id", "does not resume sessions by id"),
    "resumes_by_ticket": ("resumes sessions by ticket", "does not resume sessions by ticket"),
}


class Feature(Demand):
    """Something that an endpoint does, or does not; where its versions do not know it, the demand is met."""

    kind: Literal["feature"]
    feature: Literal[
        "compresses",
        "secure_renegotiation",
        "fallback_scsv",
        "downgrade_sentinel",
        "is_stapled",
        "resumes_by_id",
        "resumes_by_ticket",
    ]
    value: bool = True

    def judge_tls(self, tls: Tls) -> Judgement:
        """Return whether an endpoint meets it."""
        present: bool | None = getattr(tls, self.feature)
        if present is None:
            return PASSED if tls.is_full else _unknown(tls)
        yes, no = _FEATURES[self.feature]
        return PASSED if present == self.value else Judgement(Result.FAIL, yes if present else no)


class HstsAtLeast(Demand):
    """Over HTTP, Strict-Transport-Security lasts this many days."""

    kind: Literal["hsts_at_least"]
    days: int = Field(ge=1, le=3660)

    def judge(self, subject: Subject) -> Judgement:
        """Return whether a subject meets it."""
        if subject.starttls is not None or (subject.tls is not None and subject.tls.is_http is False):
            return PASSED
        if subject.hsts_max_age is None:
            return Judgement(Result.UNKNOWN, "no look has read HTTP headers")
        if subject.hsts_max_age >= timedelta(days=self.days):
            return PASSED
        return Judgement(Result.FAIL, f"HSTS lasts {subject.hsts_max_age.days} days")


class CertificateDemand(Demand):
    """A demand on a certificate, wherever it is."""

    is_of_tls: ClassVar[bool] = False


class KeyTypesWithin(CertificateDemand):
    """The key is of one of these types: `rsa`, `ecdsa-p256`, `ecdsa-p384`, `ed25519`, `ml-dsa-65` and so on."""

    kind: Literal["key_types_within"]
    values: Names

    def judge(self, subject: Subject) -> Judgement:
        """Return whether a subject meets it."""
        if subject.key_type is None:
            return _unread("key")
        if _plain(subject.key_type) in {_plain(value) for value in self.values}:
            return PASSED
        return Judgement(Result.FAIL, f"its key is {subject.key_type}")


class KeyBitsAtLeast(CertificateDemand):
    """A key of one of these kinds (`rsa`, `ecdsa`, `dsa`) has this many bits; others may have any number."""

    kind: Literal["key_bits_at_least"]
    values: dict[Literal["rsa", "ecdsa", "dsa"], Annotated[int, Field(ge=1, le=16384)]] = Field(min_length=1)

    def judge(self, subject: Subject) -> Judgement:
        """Return whether a subject meets it."""
        kind = subject.key_kind
        if kind is None or subject.key_bits is None:
            return _unread("key")
        least = {str(each): bits for each, bits in self.values.items()}.get(kind)
        if least is None or subject.key_bits >= least:
            return PASSED
        return Judgement(
            Result.FAIL, f"its key is {subject.key_type} of {subject.key_bits} bits, and not {least}"
        )


class SignaturesWithin(CertificateDemand):
    """The certificate is signed by one of these algorithms, as `sha256WithRSAEncryption`, `ecdsa-with-SHA384`."""

    kind: Literal["signatures_within"]
    values: Names

    def judge(self, subject: Subject) -> Judgement:
        """Return whether a subject meets it."""
        if subject.signature_algorithm is None:
            return _unread("signature")
        if _plain(subject.signature_algorithm) in {_plain(value) for value in self.values}:
            return PASSED
        return Judgement(Result.FAIL, f"it is signed with {subject.signature_algorithm}")


class SignaturesWithout(CertificateDemand):
    """The certificate is signed by no algorithm with any of these in its name, as `sha1`, `md5`."""

    kind: Literal["signatures_without"]
    values: Names

    def judge(self, subject: Subject) -> Judgement:
        """Return whether a subject meets it."""
        if subject.signature_algorithm is None:
            return _unread("signature")
        name = _plain(subject.signature_algorithm)
        if any(_plain(part) in name for part in self.values):
            return Judgement(Result.FAIL, f"it is signed with {subject.signature_algorithm}")
        return PASSED


class Ceiling(BaseModel):
    """From this day on, whatever is issued lasts at most so many days."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issued_from: date
    days: int = Field(ge=1, le=36525)


class LifetimeAtMost(CertificateDemand):
    """It lasts no longer than the ceiling of the day on which it was issued; a day is 86,400 s (BR §6.3.2)."""

    kind: Literal["lifetime_at_most"]
    days: int | None = Field(None, ge=1, le=36525)
    ceilings: list[Ceiling] = Field([], max_length=50)

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "LifetimeAtMost":
        if (self.days is None) == (not self.ceilings):
            msg = "give either `days` or `ceilings`"
            raise ValueError(msg)
        return self

    def judge(self, subject: Subject) -> Judgement:
        """Return whether a subject meets it."""
        lifetime = subject.lifetime
        if lifetime is None or subject.not_before is None:
            return _unread("validity")
        days = self.days or ceiling(self.ceilings, issued=subject.not_before)
        if days is None or lifetime <= timedelta(days=days):
            return PASSED
        shown = -(-lifetime // timedelta(days=1))
        return Judgement(
            Result.FAIL, f"issued on {subject.not_before:%Y-%m-%d}, it lasts {shown} days, and not {days}"
        )


def ceiling(ceilings: Sequence[Ceiling], *, issued: datetime) -> int | None:
    """Return how many days a certificate of this day may last, None where nothing bounds it."""
    in_force = [each for each in ceilings if each.issued_from <= issued.date()]
    return max(in_force, key=lambda each: each.issued_from).days if in_force else None


class RsaExponentAtLeast(CertificateDemand):
    """An RSA key has an odd public exponent of at least this."""

    kind: Literal["rsa_exponent_at_least"]
    value: int = Field(ge=1)

    def judge(self, subject: Subject) -> Judgement:
        """Return whether a subject meets it."""
        if subject.key_kind is None or (subject.key_kind == "rsa" and subject.rsa_exponent is None):
            return _unread("key")
        exponent = subject.rsa_exponent
        if exponent is None or (exponent >= self.value and exponent % 2):
            return PASSED
        return Judgement(Result.FAIL, f"the public exponent of its key is {exponent}")


AnyDemand = Annotated[
    VersionsWithin
    | VersionsInclude
    | SuitesWithin
    | SuitesWithout
    | ForwardSecrecy
    | GroupsWithin
    | GroupsInclude
    | DhBitsAtLeast
    | Feature
    | HstsAtLeast
    | KeyTypesWithin
    | KeyBitsAtLeast
    | SignaturesWithin
    | SignaturesWithout
    | LifetimeAtMost
    | RsaExponentAtLeast,
    Field(discriminator="kind"),
]


def _within(found: Iterable[str], allowed: Sequence[str], *, tls: Tls, verb: str) -> Judgement:
    others = [each for each in found if each not in allowed]
    if others:
        return Judgement(Result.FAIL, f"{verb} {listed(others)}")
    return PASSED if tls.knows_all else _unknown(tls)


def _unknown(tls: Tls) -> Judgement:
    return Judgement(Result.UNKNOWN, MISSED if tls.is_full else NO_DEPTH)


def _unread(what: str) -> Judgement:
    return Judgement(Result.UNKNOWN, f"the {what} of the certificate could not be read")


@lru_cache(maxsize=1024)
def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
