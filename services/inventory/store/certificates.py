"""Certificates, their bytes and names, and the thresholds they have crossed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.domain.certificates import MAX_INDEXED_NAME, reversed_name
from services.inventory.store.tables import (
    Certificate,
    CertificateDer,
    CertificateName,
    Crossed,
    PlaceRow,
    Sighting,
)
from shared.events.inventory import Urgency
from shared.store import Transaction, insert

_ABOVE_DOT = "/"
"""The character after the dot: where a range of names below a domain ends."""


@dataclass(frozen=True, kw_only=True)
class CertificateFilter:
    """Which certificates are wanted; what is None is not asked."""

    name: str | None = None
    """A name, or `*.example.com` for all names below it."""
    lineage_id: str | None = None
    expires_before: datetime | None = None
    key_type: str | None = None
    address: str | None = None
    port: int | None = None
    is_current: bool | None = None


async def certificate(session: AsyncSession, fingerprint: str) -> Certificate | None:
    """Return a certificate."""
    query = sa.select(Certificate).where(col(Certificate.fingerprint) == fingerprint)
    found: Certificate | None = await session.scalar(query.execution_options(populate_existing=True))
    return found


async def certificates(session: AsyncSession, fingerprints: Sequence[str]) -> Sequence[Certificate]:
    """Return those of these certificates that are known."""
    query = sa.select(Certificate).where(col(Certificate.fingerprint).in_(fingerprints))
    return (await session.scalars(query)).all()


async def keep_certificate(tx: Transaction, row: Certificate) -> None:
    """Add a certificate and its names."""
    tx.session.add(row)
    await tx.session.flush()
    names = [
        {"fingerprint": row.fingerprint, "name": name, "backwards": reversed_name(name)}
        for name in row.names
        if len(name) <= MAX_INDEXED_NAME
    ]
    if names:
        await tx.session.execute(sa.insert(CertificateName), names)


async def keep_ders(tx: Transaction, ders: Mapping[str, bytes]) -> None:
    """Keep the bytes of certificates, where they are not kept yet."""
    if ders:
        rows = [{"fingerprint": fingerprint, "der": der} for fingerprint, der in ders.items()]
        await tx.session.execute(insert(tx, CertificateDer).values(rows).on_conflict_do_nothing())


async def ders(session: AsyncSession, fingerprints: Sequence[str]) -> dict[str, bytes]:
    """Return the bytes that are kept, by fingerprint."""
    query = sa.select(CertificateDer).where(col(CertificateDer.fingerprint).in_(fingerprints))
    return {row.fingerprint: row.der for row in (await session.scalars(query)).all()}


async def due_crossings(session: AsyncSession, *, now: datetime, limit: int) -> Sequence[str]:
    """Return the fingerprints of certificates that have crossed a threshold since they were last looked at."""
    query = (
        sa.select(col(Certificate.fingerprint))
        .where(col(Certificate.next_crossing_at) <= now)
        .order_by(col(Certificate.next_crossing_at))
        .limit(limit)
    )
    return (await session.scalars(query)).all()


async def crossed(session: AsyncSession, *, lineage_id: str, fingerprint: str) -> Sequence[Crossed]:
    """Return the thresholds that are on record as crossed, the first crossed first."""
    query = (
        sa.select(Crossed)
        .where(col(Crossed.lineage_id) == lineage_id, col(Crossed.fingerprint) == fingerprint)
        .order_by(col(Crossed.at))
    )
    return (await session.scalars(query)).all()


async def keep_crossed(tx: Transaction, rows: Sequence[Crossed]) -> set[Urgency]:
    """Put crossings on record; return those that were not yet."""
    values = [row.model_dump() for row in rows]
    query = insert(tx, Crossed).values(values).on_conflict_do_nothing().returning(col(Crossed.urgency))
    return {Urgency(urgency) for urgency in (await tx.session.scalars(query)).all()}


async def page(
    session: AsyncSession, wanted: CertificateFilter, *, after: str | None, limit: int
) -> Sequence[Certificate]:
    """Return `limit + 1` certificates, those known longest first."""
    query = sa.select(Certificate).where(*_conditions(wanted)).order_by(col(Certificate.id)).limit(limit + 1)
    if after is not None:
        query = query.where(col(Certificate.id) > after)
    return (await session.scalars(query)).all()


def _conditions(wanted: CertificateFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.name is not None:
        conditions.append(col(Certificate.fingerprint).in_(_named(wanted.name.lower())))
    if wanted.lineage_id is not None:
        conditions.append(col(Certificate.lineage_id) == wanted.lineage_id)
    if wanted.expires_before is not None:
        conditions.append(col(Certificate.not_after) < wanted.expires_before)
    if wanted.key_type is not None:
        conditions.append(col(Certificate.key_type) == wanted.key_type)
    if wanted.is_current is not None:
        conditions.append(col(Certificate.is_current) == wanted.is_current)
    if wanted.address is not None or wanted.port is not None:
        conditions.append(col(Certificate.fingerprint).in_(_placed(wanted.address, wanted.port)))
    return conditions


def _named(name: str) -> sa.Select[str]:
    query = sa.select(col(CertificateName.fingerprint))
    if not name.startswith("*."):
        return query.where(col(CertificateName.name) == name)
    begins = reversed_name(name.removeprefix("*"))
    return query.where(
        col(CertificateName.backwards) >= begins, col(CertificateName.backwards) < begins[:-1] + _ABOVE_DOT
    )


def _placed(address: str | None, port: int | None) -> sa.Select[str | None]:
    query = sa.select(col(Sighting.fingerprint)).join(PlaceRow, col(PlaceRow.id) == col(Sighting.place_id))
    query = query.where(col(Sighting.fingerprint).is_not(None))
    if address is not None:
        query = query.where(col(PlaceRow.address) == address)
    return query if port is None else query.where(col(PlaceRow.port) == port)


async def counts(session: AsyncSession) -> tuple[int, int, int]:
    """Return how many certificates are known, how many of them are current, and how many cannot be read."""
    every = sa.func.count()
    query = sa.select(
        every,
        every.filter(col(Certificate.is_current)),
        every.filter(col(Certificate.finding).is_not(None)),
    ).select_from(Certificate)
    known, current, unreadable = (await session.execute(query)).one()
    return known, current, unreadable


async def counts_by_urgency(session: AsyncSession) -> dict[Urgency, int]:
    """Return how many current certificates have crossed which threshold last."""
    query = (
        sa.select(col(Certificate.urgency), sa.func.count())
        .where(col(Certificate.urgency).is_not(None))
        .group_by(col(Certificate.urgency))
    )
    rows = (await session.execute(query)).all()
    found = {Urgency(urgency): count for urgency, count in rows if urgency is not None}
    return {urgency: found.get(urgency, 0) for urgency in Urgency}
