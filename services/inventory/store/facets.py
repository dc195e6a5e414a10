"""How many certificates, or places of them, have which value of a field."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.domain.query import Subject
from services.inventory.store.queries.comparisons import Column
from services.inventory.store.queries.fields import IS_READABLE
from services.inventory.store.tables import Certificate, FlawRow, PlaceRow, Sighting

Conditions = Sequence[sa.ColumnElement[bool]]


@dataclass(frozen=True, kw_only=True)
class Facet:
    """The commonest values of a field, the commonest first."""

    field: str
    counts: Subject
    """What is counted: of a field of places, the places that the certificates are at."""
    buckets: Sequence[tuple[str | int | bool, int]]
    missing: int | None
    """How many certificates have no value; None of a field of places."""
    values: int
    """How many values there are in all, beside those shown."""


CERTIFICATE_FACETS: Mapping[str, Column] = {
    "issuer": col(Certificate.issuer),
    "key.type": col(Certificate.key_type),
    "key.size": col(Certificate.key_bits),
    "signature": col(Certificate.signature_algorithm),
    "ca": col(Certificate.is_ca),
    "self_issued": col(Certificate.is_self_issued),
    "readable": IS_READABLE,
    "current": col(Certificate.is_current),
    "urgency": col(Certificate.urgency),
    "renewal": col(Certificate.is_from_renewal),
    "owner": col(Certificate.owner_id),
}
PLACE_FACETS: Mapping[str, Column] = {
    "place.port": col(PlaceRow.port),
    "place.starttls": col(PlaceRow.starttls),
    "place.kind": col(PlaceRow.kind),
    "place.flaw": col(FlawRow.flaw),
}


async def facet(session: AsyncSession, field: str, conditions: Conditions, *, limit: int) -> Facet:
    """Count the certificates that meet the conditions by a field, or the places that they are at.

    Without conditions this reads a whole table: counters that are kept while events come in can answer here.
    """
    if field in PLACE_FACETS:
        return await _of_places(session, field, conditions, limit=limit)
    value = CERTIFICATE_FACETS[field]
    query = _grouped(value).select_from(Certificate).where(*conditions)
    # What has no value comes first, so that it is among the rows whatever the limit.
    query = query.order_by(value.is_(None).desc(), sa.desc("number"), value)
    rows = (await session.execute(query.limit(limit + 1))).all()
    missing = sum(row.number for row in rows if row.value is None)
    named = [row for row in rows if row.value is not None]
    values = rows[0].distinct - bool(missing) if rows else 0
    return Facet(
        field=field,
        counts=Subject.CERTIFICATE,
        buckets=_buckets(named[:limit]),
        missing=missing,
        values=values,
    )


async def _of_places(session: AsyncSession, field: str, conditions: Conditions, *, limit: int) -> Facet:
    value = PLACE_FACETS[field]
    query = _grouped(value).select_from(Sighting)
    query = query.join(PlaceRow, col(PlaceRow.id) == col(Sighting.place_id))
    if field == "place.flaw":
        is_open = sa.and_(col(FlawRow.place_id) == col(PlaceRow.id), col(FlawRow.ended_at).is_(None))
        query = query.join(FlawRow, is_open)
    query = query.where(value.is_not(None), col(Sighting.fingerprint).is_not(None))
    if conditions:
        meant = sa.select(col(Certificate.fingerprint)).where(*conditions).correlate(None)
        query = query.where(col(Sighting.fingerprint).in_(meant))
    rows = (await session.execute(query.order_by(sa.desc("number"), value).limit(limit))).all()
    return Facet(
        field=field,
        counts=Subject.PLACE,
        buckets=_buckets(rows),
        missing=None,
        values=rows[0].distinct if rows else 0,
    )


def _grouped(value: Column) -> Any:
    every = sa.func.count().over().label("distinct")
    return sa.select(value.label("value"), sa.func.count().label("number"), every).group_by(value)


def _buckets(rows: Sequence[Any]) -> Sequence[tuple[str | int | bool, int]]:
    return [(row.value, row.number) for row in rows]
