"""How many certificates, or places of them, have which value of a field."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.domain.query import Subject
from services.inventory.store import tallies
from services.inventory.store.certificates import CertificateFilter, conditions
from services.inventory.store.queries.comparisons import Column
from services.inventory.store.queries.fields import IS_READABLE
from services.inventory.store.tables import Certificate, FlawRow, PlaceRow, Sighting
from services.inventory.store.tallies import Counted, Groups
from shared.store.reader import Reader, reader_in


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


_TRUTH, _NUMBER = "CAST(value AS boolean)", "CAST(value AS integer)"
_AS_KEPT: Mapping[str, Counted] = {
    **{field: Counted(what=field) for field in ("issuer", "key.type", "signature", "urgency", "owner")},
    "key.size": Counted(what="key.size", value=_NUMBER),
    **{
        field: Counted(what=field, value=_TRUTH)
        for field in ("ca", "self_issued", "readable", "current", "renewal")
    },
    "place.kind": Counted(what="place", value="split_part(value, '|', 1)", has_none=False),
    "place.port": Counted(
        what="place", value="CAST(nullif(split_part(value, '|', 2), '') AS integer)", has_none=False
    ),
    "place.starttls": Counted(what="place", value="nullif(split_part(value, '|', 3), '')", has_none=False),
    "place.flaw": Counted(what="flaw", has_none=False),
}
"""The same fields as counts are kept of them; a test holds them together."""


async def facet(session: AsyncSession, field: str, wanted: CertificateFilter, *, limit: int) -> Facet:
    """Count the certificates that are wanted by a field, or the places that they are at.

    Where all are wanted that the caller may see, counts that are kept answer, for all and for one group.
    """
    kept = tallies.kept_for(session, wanted.scope) if wanted.is_everything else None
    if kept is None:
        return await counted(reader_in(session), field, wanted, limit=limit)
    return _facet(field, await _kept(session, field, kept, limit), limit=limit)


async def counted(reader: Reader, field: str, wanted: CertificateFilter, *, limit: int) -> Facet:
    """Count them by a field, row by row."""
    query = (
        _of_places(field, wanted, limit) if field in PLACE_FACETS else _of_certificates(field, wanted, limit)
    )
    return _facet(field, await reader.found(query), limit=limit)


def _facet(field: str, rows: Sequence[Any], *, limit: int) -> Facet:
    if field in PLACE_FACETS:
        return _facet_of_places(field, rows[:limit])
    return _facet_of_certificates(field, rows, limit=limit)


async def _kept(session: AsyncSession, field: str, of: Groups, limit: int) -> Sequence[Any]:
    return await tallies.commonest(session, of, _AS_KEPT[field], limit=limit + 1)


def _of_certificates(field: str, wanted: CertificateFilter, limit: int) -> sa.Select[Any]:
    value = CERTIFICATE_FACETS[field]
    query = _grouped(value).select_from(Certificate).where(*conditions(wanted))
    # What has no value comes first, so that it is among the rows whatever the limit.
    ordered: sa.Select[Any] = query.order_by(value.is_(None).desc(), sa.desc("number"), value)
    return ordered.limit(limit + 1)


def _facet_of_certificates(field: str, rows: Sequence[Any], *, limit: int) -> Facet:
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


def _of_places(field: str, wanted: CertificateFilter, limit: int) -> sa.Select[Any]:
    value = PLACE_FACETS[field]
    query = _grouped(value).select_from(Sighting)
    query = query.join(PlaceRow, col(PlaceRow.id) == col(Sighting.place_id))
    if field == "place.flaw":
        is_open = sa.and_(col(FlawRow.place_id) == col(PlaceRow.id), col(FlawRow.ended_at).is_(None))
        query = query.join(FlawRow, is_open)
    query = query.where(value.is_not(None), col(Sighting.fingerprint).is_not(None))
    asked = conditions(wanted)
    if asked:
        meant = sa.select(col(Certificate.fingerprint)).where(*asked).correlate(None)
        query = query.where(col(Sighting.fingerprint).in_(meant))
    ordered: sa.Select[Any] = query.order_by(sa.desc("number"), value)
    return ordered.limit(limit)


def _facet_of_places(field: str, rows: Sequence[Any]) -> Facet:
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
