"""Which places are to be judged, what is known of them, and what came of it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.domain.assessment.facts import Result, Subject, Tls, fast, full, latest
from services.inventory.store import tallies
from services.inventory.store.assessment_tables import (
    AssessmentRow,
    PlaceTlsRow,
    PolicyRow,
    TraitsRow,
    VerdictRow,
)
from services.inventory.store.tables import Certificate, PlaceRow, Sighting
from services.inventory.store.visibility import Scope, visible_certificates, visible_places
from shared.events.discovery import TlsFacts
from shared.store import Instant, Json, Transaction, insert, write_rows
from shared.store.bulk import copy_rows
from shared.store.parameters import table_of


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A place as it is judged; without a subject, nothing is there that would be."""

    place_id: str
    fingerprint: str | None = None
    lineage_id: str | None = None
    subject: Subject | None = None
    is_read: bool = False
    """Whether the bytes of the certificate were looked at."""


async def make_due(tx: Transaction, places: Collection[str], *, at: datetime) -> None:
    """Have places judged anew."""
    if not places:
        return
    given = table_of(tx, {"place_id": sa.Text}, [(place,) for place in sorted(places)])
    rows = sa.select(given.c.place_id, sa.literal(at, type_=Instant), sa.literal({}, type_=Json)).where(
        sa.true()
    )  # SQLite takes ON CONFLICT behind a SELECT for a join where no WHERE is between
    new = insert(tx, AssessmentRow).from_select(["place_id", "due_at", "details"], rows)
    due = new.on_conflict_do_update(index_elements=["place_id"], set_={"due_at": new.excluded.due_at})
    await tx.session.execute(due)


async def begin_due(tx: Transaction, places: Collection[str], *, at: datetime) -> None:
    """Have places judged that nobody knew."""
    await copy_rows(tx, AssessmentRow, [{"place_id": place, "due_at": at, "details": {}} for place in places])


async def make_certificates_due(tx: Transaction, fingerprints: Collection[str], *, at: datetime) -> None:
    """Have the places of certificates judged anew."""
    there = sa.select(col(Sighting.place_id)).where(col(Sighting.fingerprint).in_(fingerprints))
    await _make_due(tx, col(AssessmentRow.place_id).in_(there), at=at)


async def make_all_due(tx: Transaction, *, at: datetime, but_rules: str | None = None) -> None:
    """Have every place judged anew; with `but_rules`, those that were judged by other rules than these."""
    rules = col(AssessmentRow.rules)
    await _make_due(tx, rules.is_distinct_from(but_rules) if but_rules else sa.true(), at=at)


async def make_failing_due(tx: Transaction, policy: str, *, at: datetime) -> None:
    """Have places judged anew that do not pass a policy, or pass it by an exception."""
    failing = sa.select(col(VerdictRow.place_id)).where(
        col(VerdictRow.policy_id) == policy,
        sa.or_(col(VerdictRow.verdict) != Result.PASS, col(VerdictRow.is_by_exception)),
    )
    await _make_due(tx, col(AssessmentRow.place_id).in_(failing), at=at)


async def _make_due(tx: Transaction, condition: sa.ColumnElement[bool], *, at: datetime) -> None:
    query = sa.update(AssessmentRow).where(condition).values(due_at=at)
    await tx.session.execute(query.execution_options(synchronize_session=False))


async def is_any_due(session: AsyncSession, *, now: datetime) -> bool:
    """Return whether any place is due."""
    query = sa.select(col(AssessmentRow.place_id)).where(col(AssessmentRow.due_at) <= now)
    return await session.scalar(query.limit(1)) is not None


class Due(NamedTuple):
    """A place that is to be judged, and what came of it last."""

    place_id: str
    grade: str | None
    pq_key_exchange: str | None


async def due_certificates(tx: Transaction, *, now: datetime, limit: int) -> set[str]:
    """Return the fingerprints of the certificates at places that are due."""
    places = _first_due(col(AssessmentRow.place_id), now=now, limit=limit)
    query = sa.select(col(Sighting.fingerprint)).where(col(Sighting.place_id).in_(places))
    return {print_ for print_ in await tx.session.scalars(query) if print_ is not None}


async def due(tx: Transaction, *, now: datetime, limit: int) -> Sequence[Due]:
    """Return places that are due, held: what changes meanwhile makes them due again."""
    query = _first_due(*(col(getattr(AssessmentRow, name)) for name in Due._fields), now=now, limit=limit)
    rows = await tx.session.execute(query.with_for_update(skip_locked=True))
    return [Due._make(row) for row in rows.all()]


def _first_due(*columns: Any, now: datetime, limit: int) -> sa.Select[Any]:
    query = sa.select(*columns).where(col(AssessmentRow.due_at) <= now)
    return query.order_by(col(AssessmentRow.due_at), col(AssessmentRow.place_id)).limit(limit)


async def judged(session: AsyncSession, places: Sequence[str]) -> list[Judged]:
    """Return what is known of places, in one query."""
    found = await _judged(session, col(Sighting.place_id).in_(places))
    seen = {each.place_id for each in found}
    return [*found, *(Judged(place_id=place) for place in places if place not in seen)]


async def judged_after(session: AsyncSession, after: str, *, limit: int) -> list[Judged]:
    """Return what is known of the places after one, by their ids."""
    return await _judged(session, col(Sighting.place_id) > after, limit=limit)


_OF_PLACE = ("id", "kind", "server_name", "starttls")
_OF_CERTIFICATE = (
    "fingerprint",
    "lineage_id",
    "names",
    "not_before",
    "not_after",
    "key_type",
    "key_bits",
    "signature_algorithm",
    "is_self_issued",
)
_OF_TLS = ("facts", "facts_digest", "facts_at", "version", "suite", "group", "negotiated_at")
_OF_TRAITS = ("is_read", "is_public", "rsa_exponent", "is_trusted", "is_revoked", "is_chain_complete")
# Columns and no objects: of these there are as many as places, and an object costs more than judging one.
_COLUMNS = [
    getattr(table, name)
    for table, names in (
        (PlaceRow, _OF_PLACE),
        (Certificate, _OF_CERTIFICATE),
        (PlaceTlsRow, _OF_TLS),
        (TraitsRow, _OF_TRAITS),
    )
    for name in names
]


async def _judged(
    session: AsyncSession, condition: sa.ColumnElement[bool], *, limit: int | None = None
) -> list[Judged]:
    query = (
        sa.select(*_COLUMNS)
        .select_from(PlaceRow)
        .join(Sighting, col(Sighting.place_id) == col(PlaceRow.id))
        .join(Certificate, col(Certificate.fingerprint) == col(Sighting.fingerprint))
        .outerjoin(PlaceTlsRow, col(PlaceTlsRow.place_id) == col(PlaceRow.id))
        .outerjoin(TraitsRow, col(TraitsRow.fingerprint) == col(Certificate.fingerprint))
        # What nothing uses is not judged.
        .where(condition, col(Sighting.is_proof))
        .order_by(col(Sighting.place_id))
        .limit(limit)
    )
    known: dict[int, Tls] = {}
    return [_as_judged(row, known=known) for row in (await session.execute(query)).all()]


def _as_judged(row: sa.Row[Any], *, known: dict[int, Tls]) -> Judged:
    tls = _tls(row, known=known)
    subject = Subject(
        is_endpoint=row.kind == "endpoint",
        server_name=row.server_name,
        starttls=row.starttls,
        tls=tls,
        names=tuple(row.names),
        not_before=row.not_before,
        not_after=row.not_after,
        key_type=row.key_type,
        key_bits=row.key_bits,
        rsa_exponent=row.rsa_exponent,
        signature_algorithm=row.signature_algorithm,
        is_self_issued=row.is_self_issued,
        is_public=row.is_public,
        is_trusted=row.is_trusted,
        is_revoked=row.is_revoked,
        is_chain_complete=row.is_chain_complete,
        hsts_max_age=tls.hsts_max_age if tls is not None else None,
    )
    return Judged(
        place_id=row.id,
        fingerprint=row.fingerprint,
        lineage_id=row.lineage_id,
        subject=subject,
        is_read=bool(row.is_read),
    )


def _tls(row: sa.Row[Any], *, known: dict[int, Tls]) -> Tls | None:
    """Return what is known of a place's TLS; many places of one fleet have the same facts, read once."""
    looked = None
    if row.facts is not None and row.facts_digest is not None:
        looked = known.get(row.facts_digest)
        if looked is None:
            looked = known[row.facts_digest] = full(TlsFacts.model_validate(row.facts))
    seen = fast(version=row.version, suite=row.suite, group=row.group)
    return latest(looked, seen, looked_at=row.facts_at, seen_at=row.negotiated_at)


async def keep(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep what came of judging places: all columns of each row."""
    names = [name for name in AssessmentRow.model_fields if name != "place_id"]
    new = insert(tx, AssessmentRow)
    told = new.on_conflict_do_update(
        index_elements=["place_id"], set_={name: new.excluded[name] for name in names}
    )
    await write_rows(tx, told, rows)


async def forget(tx: Transaction, places: Collection[str]) -> None:
    """Keep nothing of places where nothing is any more."""
    if places:
        await tx.session.execute(sa.delete(AssessmentRow).where(col(AssessmentRow.place_id).in_(places)))


@dataclass(frozen=True, kw_only=True)
class AssessmentFilter:
    """Which assessments are wanted; what is None is not asked, but for the scope, where it is everything."""

    scope: Scope
    grade: str | None = None
    policy: str | None = None
    verdict: str | None = None
    pq_key_exchange: str | None = None
    fingerprint: str | None = None


Assessed = tuple[AssessmentRow, PlaceRow]


def _assessed(scope: Scope) -> sa.Select[AssessmentRow, PlaceRow]:
    query = (
        sa.select(AssessmentRow, PlaceRow)
        .join(PlaceRow, col(PlaceRow.id) == col(AssessmentRow.place_id))
        .where(col(AssessmentRow.assessed_at).is_not(None))
    )
    if scope is None:
        return query
    return query.join(Sighting, col(Sighting.place_id) == col(PlaceRow.id)).where(*visible_places(scope))


async def page(
    session: AsyncSession, wanted: AssessmentFilter, *, after: str | None, limit: int
) -> Sequence[Assessed]:
    """Return `limit + 1` places that were judged, by their ids."""
    query = _assessed(wanted.scope).where(*_conditions(wanted))
    if after is not None:
        query = query.where(col(AssessmentRow.place_id) > after)
    found = await session.execute(query.order_by(col(AssessmentRow.place_id)).limit(limit + 1))
    return [(row, place) for row, place in found.all()]


def _conditions(wanted: AssessmentFilter) -> Iterable[sa.ColumnElement[bool]]:
    if wanted.grade is not None:
        yield col(AssessmentRow.grade) == wanted.grade
    if wanted.pq_key_exchange is not None:
        yield col(AssessmentRow.pq_key_exchange) == wanted.pq_key_exchange
    if wanted.fingerprint is not None:
        there = sa.select(col(Sighting.place_id)).where(col(Sighting.fingerprint) == wanted.fingerprint)
        yield col(AssessmentRow.place_id).in_(there)
    if wanted.policy is not None or wanted.verdict is not None:
        verdicts = sa.select(col(VerdictRow.place_id)).where(col(VerdictRow.policy_id).in_(policies_on()))
        if wanted.policy is not None:
            verdicts = verdicts.where(col(VerdictRow.policy_id) == wanted.policy)
        if wanted.verdict is not None:
            verdicts = verdicts.where(col(VerdictRow.verdict) == wanted.verdict)
        yield col(AssessmentRow.place_id).in_(verdicts)


async def one(session: AsyncSession, place: str, *, scope: Scope) -> Assessed | None:
    """Return a place that was judged, where it may be seen."""
    query = _assessed(scope).where(col(AssessmentRow.place_id) == place)
    found = (await session.execute(query)).first()
    return (found[0], found[1]) if found else None


_KINDS = {"grade": "grade", "pq_key_exchange": "pq"}
"""What is counted by a column, as `tallies` has it."""


async def counts(session: AsyncSession, column: Any, *, scope: Scope) -> dict[str, int]:
    """Return how many places there are of each value of a column; empty ones count as `unknown`."""
    kept = tallies.kept_for(session, scope)
    if kept is not None:
        kind = _KINDS[column.key]
        return known_or_not((await tallies.numbers(session, kept, kind))[kind])
    query = sa.select(col(column), sa.func.count()).where(col(AssessmentRow.assessed_at).is_not(None))
    query = query.where(*_of_certificates_in(scope, AssessmentRow.fingerprint)).group_by(col(column))
    return {value or "unknown": count for value, count in (await session.execute(query)).all()}


def known_or_not(numbers: tallies.Numbers) -> dict[str, int]:
    """Return counts in which what has no value is `unknown`."""
    return {value or "unknown": number for value, number in numbers.items()}


async def verdict_counts(session: AsyncSession, *, scope: Scope) -> dict[str, dict[str, int]]:
    """Return how many places have which verdict, by policy that is on."""
    kept = tallies.kept_for(session, scope)
    if kept is not None:
        numbers = (await tallies.numbers(session, kept, "verdict"))["verdict"]
        return by_policy(numbers, on=(await session.scalars(policies_on())).all())
    policy, verdict = col(VerdictRow.policy_id), col(VerdictRow.verdict)
    query = sa.select(policy, verdict, sa.func.count()).where(policy.in_(policies_on()))
    query = query.where(*_of_certificates_in(scope, VerdictRow.fingerprint)).group_by(policy, verdict)
    found: dict[str, dict[str, int]] = {}
    for each, result, count in (await session.execute(query)).all():
        found.setdefault(each, {})[result] = count
    return found


def by_policy(numbers: tallies.Numbers, *, on: Collection[str]) -> dict[str, dict[str, int]]:
    """Return counts by policy and verdict, of the policies that are on."""
    found: dict[str, dict[str, int]] = {}
    for value, number in numbers.items():
        verdict, _, policy = (value or "").partition("|")
        if policy in on:
            found.setdefault(policy, {})[verdict] = number
    return found


def _of_certificates_in(scope: Scope, column: Any) -> Iterable[sa.ColumnElement[bool]]:
    """Limit to what was judged of certificates that are seen."""
    if scope is None:
        return ()
    seen = sa.select(col(Certificate.fingerprint)).where(*visible_certificates(scope))
    return (col(column).in_(seen),)


def policies_on() -> Any:
    """Return the ids of the policies that are on, as a subquery."""
    return sa.select(col(PolicyRow.id)).where(col(PolicyRow.is_enabled))
