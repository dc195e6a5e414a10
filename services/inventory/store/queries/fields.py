"""What each field of the catalogue is in the tables: one entry for each, a test holds them together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from math import isfinite
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import col

from services.inventory.domain.assessment.facts import Result
from services.inventory.domain.assessment.grades import LETTERS
from services.inventory.domain.query import Operator, Term
from services.inventory.domain.query.fields import ORDER
from services.inventory.store.assessment_tables import AssessmentRow, PolicyRow, VerdictRow
from services.inventory.store.association_tables import AuthorityRow, IssuedUnder, OddityRow
from services.inventory.store.authority_findings import RULE, SEVERITY, with_finding
from services.inventory.store.organised import CertificateTag, FieldValue, GroupMember, TeamRow
from services.inventory.store.queries.comparisons import (
    Column,
    Condition,
    begins_with,
    compare,
    compare_choice,
    compare_name,
    pattern,
)
from services.inventory.store.tables import (
    START,
    Certificate,
    CertificateName,
    FindingRow,
    FlawRow,
    Lineage,
    PlaceRow,
    Replacement,
    RevocationRow,
    ServedChainRow,
    Sighting,
)
from shared.events.inventory import Urgency
from shared.lint import Severity
from shared.revocation.words import Revocation

Build = Callable[[Term, datetime], Condition]


@dataclass(frozen=True, kw_only=True)
class Here:
    """A field in the subject's own row."""

    build: Build
    is_decided: bool = False
    """Whether the condition is true or false of every row, never NULL."""


@dataclass(frozen=True, kw_only=True)
class Among:
    """A field in rows of another table, as many as there are: it is so of one of them."""

    own: Column
    """The column of the subject's row that leads there."""
    key: Column
    """The column of the other table that it leads to."""
    build: Build


Sql = Here | Among


def column(of: Column) -> Here:
    """Return a field that is a column."""
    return Here(build=lambda term, now: compare(of, term, now))


def flag(condition: Condition) -> Here:
    """Return a boolean field that is a condition; it must never be NULL."""

    def build(term: Term, _now: datetime) -> Condition:
        is_wanted = term.operator is Operator.HAS or bool(term.value)
        return condition if is_wanted else sa.not_(condition)

    return Here(build=build, is_decided=True)


def among(own: Any, key: Any, build: Build) -> Among:
    """Return a field that is in rows of another table."""
    return Among(own=col(own), key=col(key), build=build)


class _Seconds(FunctionElement[int]):
    """How many seconds lie between two columns, the last one included."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(_Seconds, "postgresql")
def _seconds_postgresql(element: _Seconds, compiler: Any, **options: Any) -> str:
    begins, ends = (compiler.process(each, **options) for each in element.clauses)
    return f"CAST(EXTRACT(EPOCH FROM {ends} - {begins}) + 1 AS BIGINT)"


@compiles(_Seconds, "sqlite")
def _seconds_sqlite(element: _Seconds, compiler: Any, **options: Any) -> str:
    begins, ends = (compiler.process(each, **options) for each in element.clauses)
    return f"(CAST(strftime('%s', {ends}) AS INTEGER) - CAST(strftime('%s', {begins}) AS INTEGER) + 1)"


_FAMILIES = ("ecdsa",)
"""Kinds of keys that the store keeps with more after them: `ecdsa-p256`."""


def _key_type(term: Term, now: datetime) -> Condition:
    of = col(Certificate.key_type)
    families = [value for value in term.values if value in _FAMILIES]
    if term.operator not in (Operator.EQUAL, Operator.IN) or not families:
        return compare(of, term, now)
    of_family = [of.like(pattern(f"{family}-*"), escape="\\") for family in families]
    return sa.or_(of.in_(term.values), *of_family)


def _long_text(of: Column, start: Column) -> Here:
    """Return a field whose text may be longer than an index takes, or empty, which is no value."""

    def build(term: Term, now: datetime) -> Condition:
        if term.operator is Operator.HAS:
            return sa.and_(of.is_not(None), of != "")
        if term.operator in (Operator.EQUAL, Operator.IN):
            starts = [str(value)[:START] for value in term.values]
            # A statement with `IN` is another one for each number of values, and is written anew each time.
            begins = start == starts[0] if len(starts) == 1 else start.in_(starts)
            return sa.and_(begins, compare(of, term, now))
        return compare(of, term, now)

    return Here(build=build)


def _open_flaw(term: Term, now: datetime) -> Condition:
    return sa.and_(col(FlawRow.ended_at).is_(None), compare(col(FlawRow.flaw), term, now))


def _address(term: Term, now: datetime) -> Condition:
    """Every place has one; whether a certificate has a place is asked without a look at the places."""
    if term.operator is Operator.HAS:
        return sa.true()
    return compare(col(PlaceRow.address), term, now)


def _grade(term: Term, now: datetime) -> Condition:
    return compare_choice(col(AssessmentRow.grade), term, choices=LETTERS[::-1], now=now)


def _policy(verdict: Result) -> Build:
    def build(term: Term, now: datetime) -> Condition:
        is_on = sa.select(col(PolicyRow.id)).where(col(PolicyRow.is_enabled))
        policy = col(VerdictRow.policy_id)
        return sa.and_(
            col(VerdictRow.verdict) == verdict.value, policy.in_(is_on), compare(policy, term, now)
        )

    return build


def _severity(of: Column) -> Build:
    choices = [each.value for each in reversed(Severity)]
    return lambda term, now: compare_choice(of, term, choices=choices, now=now)


def _of_issuer(build: Build, *, of: Callable[[Condition], sa.Select[str]]) -> Among:
    """Return a field of the authorities that a certificate was served under; `of` says which those are of which something is so."""
    return among(
        Certificate.fingerprint,
        IssuedUnder.fingerprint,
        lambda term, now: col(IssuedUnder.authority).in_(of(build(term, now))),
    )


def _that_are(what: Condition) -> sa.Select[str]:
    return sa.select(col(AuthorityRow.fingerprint)).where(what).correlate(None)


def _urgency(term: Term, now: datetime) -> Condition:
    return compare_choice(col(Certificate.urgency), term, choices=[each.value for each in Urgency], now=now)


def _custom(term: Term, now: datetime) -> Condition:
    """Compare a custom field: a number by its size, all else by its text; days are written so that they sort."""
    name = col(FieldValue.name) == term.field.partition(".")[2]
    if term.operator is Operator.HAS:
        return name
    number = _number(term.value) if term.operator in ORDER else None
    if number is None:
        return sa.and_(name, compare(col(FieldValue.text), term, now))
    return sa.and_(name, compare(col(FieldValue.number), replace(term, values=(number,)), now))


def _number(value: object) -> Any:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if isfinite(number) else None


IS_WILDCARD = (
    sa.select(col(CertificateName.fingerprint))
    .where(
        col(CertificateName.fingerprint) == col(Certificate.fingerprint),
        begins_with(col(CertificateName.name), "*."),
    )
    .correlate(Certificate)
    .exists()
)
IS_MANAGED = (
    sa.select(col(Lineage.id))
    .where(col(Lineage.id) == col(Certificate.lineage_id), col(Lineage.is_managed).is_(True))
    .correlate(Certificate)
    .exists()
)
IS_CA: Condition = sa.and_(col(Certificate.is_ca))
"""As it stands: `IS TRUE` would not find the index of those that are."""
IS_REVOKED = col(Certificate.fingerprint).in_(
    sa.select(col(RevocationRow.fingerprint))
    .where(col(RevocationRow.state) == Revocation.REVOKED)
    .correlate(None)
)
IS_SERVED: Condition = col(ServedChainRow.chain_digest).in_(
    sa.select(col(Sighting.chain_digest))
    .where(
        col(Sighting.fingerprint) == col(ServedChainRow.fingerprint), col(Sighting.chain_digest).is_not(None)
    )
    .correlate(ServedChainRow)
)
"""Whether a chain is what a place serves now. As `EXISTS` PostgreSQL would make it a join, and misjudge how many that is."""
IS_READABLE = col(Certificate.finding).is_(None)
IS_ISSUER_OUTLIVED = col(Certificate.fingerprint).in_(
    sa.select(col(IssuedUnder.fingerprint))
    .join(AuthorityRow, col(AuthorityRow.fingerprint) == col(IssuedUnder.authority))
    # Of the few authorities of which it is so at all, those that an index has behind its end.
    .where(col(AuthorityRow.outliving) > 0, col(IssuedUnder.ends) > col(AuthorityRow.not_after))
    .correlate(None)
)

CERTIFICATE_FIELDS: Mapping[str, Sql] = {
    "fingerprint": column(col(Certificate.fingerprint)),
    "serial": column(col(Certificate.serial)),
    "subject": _long_text(col(Certificate.subject), col(Certificate.subject_start)),
    "issuer": _long_text(col(Certificate.issuer), col(Certificate.issuer_start)),
    "name": among(Certificate.fingerprint, CertificateName.fingerprint, compare_name),
    "wildcard": flag(IS_WILDCARD),
    "expires": column(col(Certificate.not_after)),
    "issued": column(col(Certificate.not_before)),
    "lifetime": column(_Seconds(col(Certificate.not_before), col(Certificate.not_after))),
    "key.type": Here(build=_key_type),
    "key.size": column(col(Certificate.key_bits)),
    "key.fingerprint": column(col(Certificate.key_fingerprint)),
    "signature": column(col(Certificate.signature_algorithm)),
    "ca": flag(IS_CA),
    "self_issued": flag(col(Certificate.is_self_issued).is_(True)),
    "readable": flag(IS_READABLE),
    "oddity": among(
        Certificate.fingerprint,
        OddityRow.fingerprint,
        lambda term, now: compare(col(OddityRow.code), term, now),
    ),
    "lineage": column(col(Certificate.lineage_id)),
    "current": flag(col(Certificate.is_current).is_(True)),
    "urgency": Here(build=_urgency),
    "renewal": flag(col(Certificate.is_from_renewal).is_(True)),
    "replacement": among(
        Certificate.fingerprint,
        Replacement.old_fingerprint,
        lambda term, now: compare(col(Replacement.state), term, now),
    ),
    "finding": among(
        Certificate.fingerprint,
        FindingRow.fingerprint,
        lambda term, now: compare(col(FindingRow.rule), term, now),
    ),
    "finding.severity": among(
        Certificate.fingerprint, FindingRow.fingerprint, _severity(col(FindingRow.severity))
    ),
    "issuer.expires": _of_issuer(
        lambda term, now: compare(col(AuthorityRow.not_after), term, now), of=_that_are
    ),
    "issuer.outlived": flag(IS_ISSUER_OUTLIVED),
    "issuer.finding": _of_issuer(lambda term, now: compare(RULE, term, now), of=with_finding),
    "issuer.finding.severity": _of_issuer(_severity(SEVERITY), of=with_finding),
    "revoked": flag(IS_REVOKED),
    "revocation": among(
        Certificate.fingerprint,
        RevocationRow.fingerprint,
        lambda term, now: compare(col(RevocationRow.state), term, now),
    ),
    "chain": among(
        Certificate.fingerprint,
        ServedChainRow.fingerprint,
        lambda term, now: sa.and_(compare(col(ServedChainRow.state), term, now), IS_SERVED),
    ),
    "trust": among(
        Certificate.fingerprint,
        ServedChainRow.fingerprint,
        lambda term, now: sa.and_(compare(col(ServedChainRow.store), term, now), IS_SERVED),
    ),
    "seen": column(col(Certificate.first_known_at)),
    "owner": column(col(Certificate.owner_id)),
    "owner.name": among(
        Certificate.owner_id, TeamRow.id, lambda term, now: compare(col(TeamRow.name), term, now)
    ),
    "group": among(
        Certificate.fingerprint,
        GroupMember.fingerprint,
        lambda term, now: compare(col(GroupMember.group_id), term, now),
    ),
    "tag": among(
        Certificate.fingerprint,
        CertificateTag.fingerprint,
        lambda term, now: compare(col(CertificateTag.tag), term, now),
    ),
    "field.*": among(Certificate.fingerprint, FieldValue.fingerprint, _custom),
    "managed": flag(IS_MANAGED),
}
PLACE_FIELDS: Mapping[str, Sql] = {
    "place.address": Here(build=_address),
    "place.port": column(col(PlaceRow.port)),
    "place.name": column(col(PlaceRow.server_name)),
    "place.path": column(col(PlaceRow.path)),
    "place.starttls": column(col(PlaceRow.starttls)),
    "place.kind": column(col(PlaceRow.kind)),
    "place.since": column(col(Sighting.first_seen)),
    "place.seen": column(col(Sighting.last_seen)),
    "place.flaw": among(PlaceRow.id, FlawRow.place_id, _open_flaw),
    "grade": among(PlaceRow.id, AssessmentRow.place_id, _grade),
    "policy.fails": among(PlaceRow.id, VerdictRow.place_id, _policy(Result.FAIL)),
    "policy.passes": among(PlaceRow.id, VerdictRow.place_id, _policy(Result.PASS)),
    "pq": among(
        PlaceRow.id,
        AssessmentRow.place_id,
        lambda term, now: compare(col(AssessmentRow.pq_key_exchange), term, now),
    ),
    "pq.signature": among(
        PlaceRow.id,
        AssessmentRow.place_id,
        lambda term, now: compare(col(AssessmentRow.pq_signature), term, now),
    ),
}


def sql_of(name: str, fields: Mapping[str, Sql]) -> Sql | None:
    """Return what a field is, or None where it is no field of this subject."""
    if name in fields:
        return fields[name]
    family, dot, _rest = name.partition(".")
    return fields.get(f"{family}{dot}*") if dot else None
