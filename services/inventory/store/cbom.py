"""What goes into a bill of cryptographic materials, page by page, always in the same order."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.store.assessment_tables import PlaceTlsRow
from services.inventory.store.association_tables import AuthorityRow, IssuedUnder
from services.inventory.store.tables import Certificate, PlaceRow, Sighting

Conditions = Sequence[sa.ColumnElement[bool]]


async def signatures(session: AsyncSession, wanted: Conditions) -> list[str]:
    """Return the signature algorithms of certificates and of the authorities above them."""
    found = set[str | None]()
    for of, which in _both(AuthorityRow.signature_algorithm, Certificate.signature_algorithm, wanted):
        found |= set((await session.scalars(sa.select(of).distinct().where(*which))).all())
    return sorted(name for name in found if name is not None)


async def kinds_of_keys(session: AsyncSession, wanted: Conditions) -> list[tuple[str, int]]:
    """Return kind and size of the keys of certificates and of the authorities above them."""
    found = set[tuple[str, int]]()
    sizes = {AuthorityRow: col(AuthorityRow.key_bits), Certificate: col(Certificate.key_bits)}
    pairs = _both(AuthorityRow.key_type, Certificate.key_type, wanted)
    for (kind, which), bits in zip(pairs, sizes.values(), strict=True):
        rows = await session.execute(sa.select(kind, bits).distinct().where(*which))
        found |= {(kind, bits or 0) for kind, bits in rows.all() if kind is not None}
    return sorted(found)


def _both(
    of_authority: Any, of_certificate: Any, wanted: Conditions
) -> tuple[tuple[Any, Conditions], tuple[Any, Conditions]]:
    """Return a column of both tables, each with what limits a statement over it."""
    return (col(of_authority), [_is_above(wanted)]), (col(of_certificate), wanted)


def _is_above(wanted: Conditions) -> sa.ColumnElement[bool]:
    """Say that an authority is above a certificate that is wanted."""
    under = sa.select(col(Certificate.fingerprint)).join(
        IssuedUnder, col(IssuedUnder.fingerprint) == col(Certificate.fingerprint)
    )
    return (
        under.where(col(IssuedUnder.authority) == col(AuthorityRow.fingerprint), *wanted)
        .correlate(AuthorityRow)
        .exists()
    )


async def keys(
    session: AsyncSession, wanted: Conditions, *, after: str, limit: int
) -> Sequence[tuple[str, str | None, int | None]]:
    """Return keys of certificates, each with kind and size, by their fingerprints."""
    return await _keys(session, Certificate, wanted, after=after, limit=limit)


async def keys_above(
    session: AsyncSession, wanted: Conditions, *, after: str, limit: int
) -> Sequence[tuple[str, str | None, int | None]]:
    """Return keys of authorities above certificates, that no certificate has."""
    ours = sa.select(col(Certificate.fingerprint)).where(
        col(Certificate.key_fingerprint) == col(AuthorityRow.key_fingerprint), *wanted
    )
    which = [_is_above(wanted), ~ours.correlate(AuthorityRow).exists()]
    return await _keys(session, AuthorityRow, which, after=after, limit=limit)


async def _keys(
    session: AsyncSession,
    table: type[Certificate | AuthorityRow],
    which: Conditions,
    *,
    after: str,
    limit: int,
) -> Sequence[tuple[str, str | None, int | None]]:
    key = col(table.key_fingerprint)
    kind, bits = sa.func.min(col(table.key_type)), sa.func.min(col(table.key_bits))
    query = sa.select(key, kind, bits).where(key > after, *which).group_by(key).order_by(key).limit(limit)
    rows = (await session.execute(query)).all()
    return [(key, kind, bits) for key, kind, bits in rows if key is not None]


async def above(
    session: AsyncSession, wanted: Conditions, *, after: str, limit: int
) -> Sequence[AuthorityRow]:
    """Return authorities above certificates, by their fingerprints; those that are among the certificates are left out."""
    fingerprint = col(AuthorityRow.fingerprint)
    ours = sa.select(col(Certificate.fingerprint)).where(col(Certificate.fingerprint) == fingerprint, *wanted)
    query = sa.select(AuthorityRow).where(fingerprint > after, _is_above(wanted))
    query = query.where(~ours.correlate(AuthorityRow).exists())
    return (await session.scalars(query.order_by(fingerprint).limit(limit))).all()


async def issuers(session: AsyncSession, fingerprints: Sequence[str]) -> dict[str, list[str]]:
    """Return the authorities that certificates name as their issuers, of those seen above them."""
    query = sa.select(col(IssuedUnder.fingerprint), col(IssuedUnder.authority))
    query = query.where(col(IssuedUnder.fingerprint).in_(fingerprints), col(IssuedUnder.is_direct))
    found: dict[str, list[str]] = {}
    for fingerprint, authority in (await session.execute(query.order_by(col(IssuedUnder.authority)))).all():
        found.setdefault(fingerprint, []).append(authority)
    return found


async def certificates(
    session: AsyncSession, wanted: Conditions, *, after: str, limit: int
) -> Sequence[Certificate]:
    """Return certificates by their fingerprints."""
    fingerprint = col(Certificate.fingerprint)
    query = sa.select(Certificate).where(fingerprint > after, *wanted)
    return (await session.scalars(query.order_by(fingerprint).limit(limit))).all()


async def spoken(
    session: AsyncSession, wanted: Conditions, *, after: str, limit: int
) -> Sequence[tuple[PlaceRow, str, PlaceTlsRow]]:
    """Return endpoints of which it is known how they speak TLS, each with its certificate, by their ids."""
    place = col(PlaceTlsRow.place_id)
    query = (
        sa.select(PlaceRow, col(Certificate.fingerprint), PlaceTlsRow)
        .join(PlaceRow, col(PlaceRow.id) == place)
        .join(Sighting, col(Sighting.place_id) == place)
        .join(Certificate, col(Certificate.fingerprint) == col(Sighting.fingerprint))
        .where(place > after, *wanted)
    )
    rows = await session.execute(query.order_by(place).limit(limit))
    return [(where, fingerprint, tls) for where, fingerprint, tls in rows.all()]
