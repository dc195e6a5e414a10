"""In how many certificates and places something is: counted for some, kept for those that are in several."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.domain.associations import Kind, Spread
from services.inventory.store.association_tables import SpreadRow, TwinRow
from services.inventory.store.tables import Certificate, HeldRow, PlaceRow, Sighting
from services.inventory.store.visibility import Scope, visible_certificates, visible_places
from shared.store import Transaction, insert, write_rows

_IS_ENDPOINT = col(PlaceRow.kind) == "endpoint"
_ADDRESSES = sa.func.count(sa.distinct(col(PlaceRow.address))).filter(_IS_ENDPOINT)
_HOSTS = sa.func.count(sa.distinct(col(PlaceRow.address))).filter(~_IS_ENDPOINT)


async def of_keys(session: AsyncSession, keys: Collection[str], *, scope: Scope) -> Mapping[str, Spread]:
    """Count for keys: certificates on them, addresses that serve those, hosts that hold the private key."""
    key = col(Certificate.key_fingerprint)
    known = sa.select(key, sa.func.count()).where(key.in_(keys), *visible_certificates(scope)).group_by(key)
    certificates = {row[0]: row[1] for row in (await session.execute(known)).all()}
    served = (
        sa.select(key, sa.func.count(sa.distinct(col(PlaceRow.address))), sa.func.count())
        .join(Sighting, col(Sighting.fingerprint) == col(Certificate.fingerprint))
        .join(PlaceRow, col(PlaceRow.id) == col(Sighting.place_id))
        .where(key.in_(keys), _IS_ENDPOINT, *visible_certificates(scope))
        .group_by(key)
    )
    endpoints = {row[0]: (row[1], row[2]) for row in (await session.execute(served)).all()}
    held = (
        sa.select(
            col(HeldRow.key_fingerprint), sa.func.count(sa.distinct(col(PlaceRow.address))), sa.func.count()
        )
        .join(PlaceRow, col(PlaceRow.id) == col(HeldRow.place_id))
        .join(Sighting, col(Sighting.place_id) == col(HeldRow.place_id))
        .where(col(HeldRow.key_fingerprint).in_(keys), col(Sighting.fingerprint).is_not(None))
        .where(*visible_places(scope))
        .group_by(col(HeldRow.key_fingerprint))
    )
    stores = {row[0]: (row[1], row[2]) for row in (await session.execute(held)).all()}
    return {
        each: Spread(
            certificates=certificates.get(each, 0),
            addresses=endpoints.get(each, (0, 0))[0],
            hosts=stores.get(each, (0, 0))[0],
            places=endpoints.get(each, (0, 0))[1] + stores.get(each, (0, 0))[1],
        )
        for each in keys
    }


async def of_certificates(session: AsyncSession, fingerprints: Collection[str]) -> Mapping[str, Spread]:
    """Count for certificates: addresses that serve them, hosts that hold them."""
    of = col(Sighting.fingerprint)
    query = (
        sa.select(of, _ADDRESSES, _HOSTS, sa.func.count())
        .join(PlaceRow, col(PlaceRow.id) == col(Sighting.place_id))
        .where(of.in_(fingerprints))
        .group_by(of)
    )
    return await _counted(session, query)


async def of_duplicates(session: AsyncSession, digests: Collection[str]) -> Mapping[str, Spread]:
    """Count where the certificates are that have a digest in common and are in use."""
    query = (
        sa.select(
            col(TwinRow.digest),
            _ADDRESSES,
            _HOSTS,
            sa.func.count(),
            sa.func.count(sa.distinct(col(TwinRow.fingerprint))),
        )
        .join(Certificate, col(Certificate.fingerprint) == col(TwinRow.fingerprint))
        .join(Sighting, col(Sighting.fingerprint) == col(TwinRow.fingerprint))
        .join(PlaceRow, col(PlaceRow.id) == col(Sighting.place_id))
        .where(col(TwinRow.digest).in_(digests), col(Certificate.is_current))
        .group_by(col(TwinRow.digest))
    )
    return await _counted(session, query)


async def _counted(session: AsyncSession, query: sa.Select[*tuple[Any, ...]]) -> dict[str, Spread]:
    return {
        of: Spread(addresses=addresses, hosts=hosts, places=places, certificates=more[0] if more else 1)
        for of, addresses, hosts, places, *more in (await session.execute(query)).all()
    }


async def keep_twins(tx: Transaction, digests: Mapping[str, str]) -> None:
    """Keep the digests of certificates."""
    rows = [{"fingerprint": each, "digest": digest} for each, digest in sorted(digests.items())]
    await write_rows(tx, insert(tx, TwinRow).on_conflict_do_nothing(), rows)


async def twins_in_use(
    session: AsyncSession, digests: Collection[str]
) -> Sequence[tuple[str, datetime | None, datetime | None]]:
    """Return digest, beginning and end of the certificates in use that have one of these digests."""
    query = (
        sa.select(col(TwinRow.digest), col(Certificate.not_before), col(Certificate.not_after))
        .join(Certificate, col(Certificate.fingerprint) == col(TwinRow.fingerprint))
        .where(col(TwinRow.digest).in_(digests), col(Certificate.is_current), _is_placed())
    )
    return [(digest, begins, ends) for digest, begins, ends in (await session.execute(query)).all()]


def _is_placed() -> sa.ColumnElement[bool]:
    return sa.exists().where(col(Sighting.fingerprint) == col(Certificate.fingerprint))


async def keep(tx: Transaction, kind: Kind, spreads: Mapping[str, Spread | None], *, now: datetime) -> None:
    """Keep how far things are spread; of those that are None nothing is kept."""
    gone = [each for each, spread in spreads.items() if spread is None]
    query = sa.delete(SpreadRow).where(col(SpreadRow.kind) == kind, col(SpreadRow.id).in_(gone))
    if gone:
        await tx.session.execute(query.execution_options(synchronize_session=False))
    rows = [
        {
            "kind": kind,
            "id": each,
            "weight": spread.weight,
            "certificates": spread.certificates,
            "addresses": spread.addresses,
            "hosts": spread.hosts,
            "places": spread.places,
            "counted_at": now,
        }
        for each, spread in sorted(spreads.items())
        if spread is not None
    ]
    new = insert(tx, SpreadRow)
    changed = {name: new.excluded[name] for name in rows[0] if name not in ("kind", "id")} if rows else {}
    await write_rows(
        tx, new.on_conflict_do_update(index_elements=["kind", "id"], set_=changed), rows
    ) if rows else None


async def page(
    session: AsyncSession, kind: Kind, *, after: tuple[int, str] | None, limit: int, scope: Scope
) -> Sequence[SpreadRow]:
    """Return `limit + 1` of one kind, the worst first."""
    weight, id_ = col(SpreadRow.weight), col(SpreadRow.id)
    query = sa.select(SpreadRow).where(col(SpreadRow.kind) == kind)
    if after is not None:
        query = query.where(weight <= after[0], sa.or_(weight < after[0], id_ < after[1]))
    if scope is not None:
        query = query.where(_is_seen(kind, scope))
    return (await session.scalars(query.order_by(weight.desc(), id_.desc()).limit(limit + 1))).all()


def _is_seen(kind: Kind, scope: Scope) -> sa.ColumnElement[bool]:
    """Say that the caller may see a certificate of it; of duplicates, two."""
    seen = sa.select(col(Certificate.fingerprint)).where(*visible_certificates(scope)).correlate(SpreadRow)
    if kind is Kind.KEY:
        return seen.where(col(Certificate.key_fingerprint) == col(SpreadRow.id)).exists()
    if kind is Kind.WILDCARD:
        return seen.where(col(Certificate.fingerprint) == col(SpreadRow.id)).exists()
    twins = seen.join(TwinRow, col(TwinRow.fingerprint) == col(Certificate.fingerprint))
    two = twins.where(col(TwinRow.digest) == col(SpreadRow.id), _is_in_use()).limit(2).subquery()
    return sa.select(sa.func.count()).select_from(two).scalar_subquery() > 1


def _is_in_use() -> sa.ColumnElement[bool]:
    return sa.and_(col(Certificate.is_current), _is_placed())


async def members(
    session: AsyncSession, digests: Collection[str], *, scope: Scope
) -> Sequence[tuple[str, Certificate]]:
    """Return the certificates in use that have one of these digests."""
    query = (
        sa.select(col(TwinRow.digest), Certificate)
        .join(Certificate, col(Certificate.fingerprint) == col(TwinRow.fingerprint))
        .where(col(TwinRow.digest).in_(digests), _is_in_use(), *visible_certificates(scope))
        .order_by(col(Certificate.not_before), col(Certificate.fingerprint))
    )
    return [(digest, row) for digest, row in (await session.execute(query)).all()]
