"""Certificates, their bytes and names, and the thresholds they have crossed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.domain.certificates import indexed_names, reversed_name
from services.inventory.domain.oddities import Code
from services.inventory.domain.query import FIRST_SEEN, Asked, Order, Position
from services.inventory.store import tallies
from services.inventory.store.oddities import has as has_oddity
from services.inventory.store.queries import condition, sorts
from services.inventory.store.tables import (
    Certificate,
    CertificateDer,
    CertificateName,
    Crossed,
    PlaceRow,
    Sighting,
)
from services.inventory.store.visibility import Scope, visible_certificates
from shared.events.inventory import Urgency
from shared.store import Instant, Transaction, insert, write_rows
from shared.store.bulk import copy_rows
from shared.store.parameters import among, table_of
from shared.store.reader import Columns, Found, Reader, reader_in

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
    oddity: Code | None = None
    key_fingerprint: str | None = None
    asked: Asked | None = None
    """What is asked for beside, in the query language."""
    scope: Scope = None
    """The groups that the caller is limited to; None for no limit."""

    @property
    def is_everything(self) -> bool:
        """Return whether nothing is asked, so that all are wanted which may be seen."""
        asks = self.asked is not None and self.asked.query.node is not None
        return not asks and replace(self, asked=None, scope=None) == CertificateFilter()


async def certificate(session: AsyncSession, fingerprint: str) -> Certificate | None:
    """Return a certificate."""
    query = sa.select(Certificate).where(col(Certificate.fingerprint) == fingerprint)
    found: Certificate | None = await session.scalar(query.execution_options(populate_existing=True))
    return found


async def visible(session: AsyncSession, fingerprint: str, *, scope: Scope) -> Certificate | None:
    """Return a certificate that may be seen."""
    query = sa.select(Certificate).where(
        col(Certificate.fingerprint) == fingerprint, *visible_certificates(scope)
    )
    found: Certificate | None = await session.scalar(query)
    return found


async def certificates(session: AsyncSession, fingerprints: Sequence[str]) -> Sequence[Certificate]:
    """Return those of these certificates that are known."""
    query = sa.select(Certificate).where(among(session, col(Certificate.fingerprint), fingerprints))
    return (await session.scalars(query)).all()


async def fresh(session: AsyncSession, fingerprints: Sequence[str]) -> Sequence[Certificate]:
    """Return those of these certificates that are known, as the database has them, in the order in which they are given."""
    query = sa.select(Certificate).where(among(session, col(Certificate.fingerprint), fingerprints))
    rows = (await session.scalars(query.execution_options(populate_existing=True))).all()
    order = {fingerprint: at for at, fingerprint in enumerate(fingerprints)}
    return sorted(rows, key=lambda row: order[row.fingerprint])


async def keep_certificate(tx: Transaction, row: Certificate) -> None:
    """Add a certificate and its names."""
    tx.session.add(row)
    await tx.session.flush()
    names = [
        {"fingerprint": row.fingerprint, "name": name, "backwards": reversed_name(name)}
        for name in indexed_names(row.names)
    ]
    if names:
        await tx.session.execute(sa.insert(CertificateName), names)


async def keep_ders(tx: Transaction, ders: Mapping[str, bytes]) -> None:
    """Keep the bytes of certificates, where they are not kept yet."""
    # In one order, so that replicas do not wait for each other in a circle.
    rows = [{"fingerprint": fingerprint, "der": ders[fingerprint]} for fingerprint in sorted(ders)]
    await write_rows(tx, insert(tx, CertificateDer).on_conflict_do_nothing(), rows)


async def keep_new_ders(tx: Transaction, ders: Mapping[str, bytes]) -> None:
    """Keep the bytes of certificates that nobody else takes in now: few of them are kept, and those are left out."""
    query = sa.select(col(CertificateDer.fingerprint))
    kept = set(
        (
            await tx.session.scalars(query.where(among(tx.session, col(CertificateDer.fingerprint), ders)))
        ).all()
    )
    new = sorted(ders.keys() - kept)
    await copy_rows(tx, CertificateDer, [{"fingerprint": each, "der": ders[each]} for each in new])


async def ders(session: AsyncSession, fingerprints: Sequence[str]) -> dict[str, bytes]:
    """Return the bytes that are kept, by fingerprint."""
    query = sa.select(CertificateDer).where(among(session, col(CertificateDer.fingerprint), fingerprints))
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


_CROSSED = {
    "lineage_id": sa.Text,
    "fingerprint": sa.Text,
    "urgency": sa.Text,
    "at": Instant,
    "is_told": sa.Boolean,
}


async def keep_crossed(
    tx: Transaction, rows: Sequence[tuple[str, str, Urgency, datetime, bool]]
) -> set[tuple[str, Urgency]]:
    """Put crossings on record, with values in the order of `Crossed`; return fingerprint and urgency of those that were not yet."""
    given = table_of(tx, _CROSSED, rows)
    values = sa.select(*(given.c[name] for name in _CROSSED)).where(sa.true())
    query = insert(tx, Crossed).from_select(list(_CROSSED), values).on_conflict_do_nothing()
    new = await tx.session.execute(query.returning(col(Crossed.fingerprint), col(Crossed.urgency)))
    return {(fingerprint, Urgency(urgency)) for fingerprint, urgency in new.all()}


LISTED = (
    col(Certificate.id),
    col(Certificate.fingerprint),
    col(Certificate.lineage_id),
    col(Certificate.subject),
    col(Certificate.subject_start),
    col(Certificate.issuer),
    col(Certificate.issuer_start),
    col(Certificate.serial),
    col(Certificate.names),
    col(Certificate.not_before),
    col(Certificate.not_after),
    col(Certificate.key_type),
    col(Certificate.key_bits),
    col(Certificate.key_fingerprint),
    col(Certificate.signature_algorithm),
    col(Certificate.is_ca),
    col(Certificate.is_self_issued),
    col(Certificate.finding),
    col(Certificate.is_current),
    col(Certificate.urgency),
    col(Certificate.next_crossing_at),
    col(Certificate.first_known_at),
    col(Certificate.owner_id),
    col(Certificate.owner_set_by),
)
"""What lists and exports show of a certificate: rows of columns, which cost a third of objects."""
_LISTING = Columns(Certificate, *LISTED)


async def page(
    reader: Reader,
    wanted: CertificateFilter,
    *,
    order: Order = FIRST_SEEN,
    after: Position | None,
    limit: int,
) -> Sequence[Found]:
    """Return `limit + 1` certificates, as rows of `LISTED`."""
    query = _LISTING.selected.where(*conditions(wanted))
    rows: list[Found] = []
    for part in sorts.parts(query, order, after):
        rows += await reader.listed(part.limit(limit + 1 - len(rows)), _LISTING)
        if len(rows) > limit:
            break
    return rows


async def count(session: AsyncSession, wanted: CertificateFilter) -> int:
    """Return how many certificates are wanted and may be seen."""
    kept = tallies.kept_for(session, wanted.scope) if wanted.is_everything else None
    if kept is not None:
        return sum((await tallies.numbers(session, kept, "all"))["all"].values())
    return await counted(reader_in(session), wanted)


async def counted(reader: Reader, wanted: CertificateFilter) -> int:
    """Count those that are wanted and may be seen, row by row."""
    query = sa.select(sa.func.count().label("number")).select_from(Certificate).where(*conditions(wanted))
    [found] = await reader.found(query)
    return int(found.number)


def conditions(wanted: CertificateFilter) -> list[sa.ColumnElement[bool]]:
    """Return what limits a statement over `Certificate` to those that are wanted and may be seen."""
    conditions = [*visible_certificates(wanted.scope)]
    if wanted.asked is not None:
        conditions.append(condition(wanted.asked.query, now=wanted.asked.now))
    if wanted.name is not None:
        conditions.append(col(Certificate.fingerprint).in_(_named(wanted.name.lower())))
    if wanted.lineage_id is not None:
        conditions.append(col(Certificate.lineage_id) == wanted.lineage_id)
    if wanted.expires_before is not None:
        conditions.append(col(Certificate.not_after) < wanted.expires_before)
    if wanted.key_type is not None:
        conditions.append(col(Certificate.key_type) == wanted.key_type)
    if wanted.key_fingerprint is not None:
        conditions.append(col(Certificate.key_fingerprint) == wanted.key_fingerprint)
    if wanted.oddity is not None:
        conditions.append(has_oddity(wanted.oddity))
    if wanted.is_current is not None:
        conditions.append(col(Certificate.is_current).is_(wanted.is_current))
    if wanted.address is not None or wanted.port is not None:
        conditions.append(col(Certificate.fingerprint).in_(_placed(wanted.address, wanted.port)))
    return conditions


def _named(name: str) -> sa.Select[str]:
    query = sa.select(col(CertificateName.fingerprint)).correlate(None)
    if not name.startswith("*."):
        return query.where(col(CertificateName.name) == name)
    begins = reversed_name(name.removeprefix("*"))
    return query.where(
        col(CertificateName.backwards) >= begins, col(CertificateName.backwards) < begins[:-1] + _ABOVE_DOT
    )


def _placed(address: str | None, port: int | None) -> sa.Select[str | None]:
    query = sa.select(col(Sighting.fingerprint)).join(PlaceRow, col(PlaceRow.id) == col(Sighting.place_id))
    query = query.where(col(Sighting.fingerprint).is_not(None)).correlate(None)
    if address is not None:
        query = query.where(col(PlaceRow.address) == address)
    return query if port is None else query.where(col(PlaceRow.port) == port)


async def counts(session: AsyncSession, *, scope: Scope) -> tuple[int, int, int]:
    """Return how many certificates are to be seen, how many are current, and how many cannot be read."""
    every = sa.func.count()
    query = sa.select(
        every,
        every.filter(col(Certificate.is_current)),
        every.filter(col(Certificate.finding).is_not(None)),
    ).select_from(Certificate)
    query = query.where(*visible_certificates(scope))
    known, current, unreadable = (await session.execute(query)).one()
    return known, current, unreadable


async def counts_by_urgency(session: AsyncSession, *, scope: Scope) -> dict[Urgency, int]:
    """Return how many current certificates have crossed which threshold last."""
    query = (
        sa.select(col(Certificate.urgency), sa.func.count())
        .where(col(Certificate.urgency).is_not(None), *visible_certificates(scope))
        .group_by(col(Certificate.urgency))
    )
    rows = (await session.execute(query)).all()
    found = {Urgency(urgency): count for urgency, count in rows if urgency is not None}
    return {urgency: found.get(urgency, 0) for urgency in Urgency}
