"""From one thing to what belongs to it: a key's places, a host's addresses, where a certificate has been."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.domain.servings import Serving
from services.inventory.store.joins import MOST_FRONTS
from services.inventory.store.tables import (
    Certificate,
    CertificateName,
    FlawRow,
    FrontAddress,
    HeldRow,
    PlaceRow,
    ServingRow,
    Sighting,
)
from services.inventory.store.visibility import Scope, visible_certificates, visible_places, visible_servings
from shared.events.inventory import Flaw

Period = tuple[datetime, datetime]
Placed = tuple[PlaceRow, Sighting]


@dataclass(frozen=True, kw_only=True)
class Device:
    """An address or host, and how much is there."""

    address: str
    places: int
    lost: int
    """Places that do not answer any more."""
    certificates: int
    last_seen: datetime
    flaws: Mapping[Flaw, int]


def _at_places(query: sa.Select[*tuple[Any, ...]], scope: Scope) -> sa.Select[*tuple[Any, ...]]:
    return query.join(Sighting, col(Sighting.place_id) == col(PlaceRow.id)).where(*visible_places(scope))


def _of_key(key: str) -> sa.ColumnElement[bool]:
    """Say that a place serves a certificate on a key, or holds the private key."""
    served = (
        sa.select(col(Sighting.place_id))
        .join(Certificate, col(Certificate.fingerprint) == col(Sighting.fingerprint))
        .where(col(Certificate.key_fingerprint) == key)
    )
    held = sa.select(col(HeldRow.place_id)).where(col(HeldRow.key_fingerprint) == key)
    return col(PlaceRow.id).in_(served.union(held))


async def certificates_of_key(
    session: AsyncSession, key: str, *, limit: int, scope: Scope
) -> Sequence[Certificate]:
    """Return certificates on a key, those that end last first."""
    query = sa.select(Certificate).where(
        col(Certificate.key_fingerprint) == key, *visible_certificates(scope)
    )
    order = (col(Certificate.not_after).desc(), col(Certificate.fingerprint))
    return (await session.scalars(query.order_by(*order).limit(limit))).all()


async def places_of_key(
    session: AsyncSession, key: str, *, after: str | None, limit: int, scope: Scope
) -> Sequence[Placed]:
    """Return `limit + 1` places that serve certificates on a key or hold the private key."""
    query = _at_places(sa.select(PlaceRow, Sighting), scope)
    query = query.where(_of_key(key), col(Sighting.fingerprint).is_not(None))
    if after is not None:
        query = query.where(col(PlaceRow.id) > after)
    found = await session.execute(query.order_by(col(PlaceRow.id)).limit(limit + 1))
    return [(place, seen) for place, seen in found.all()]


async def holders_of_key(session: AsyncSession, key: str, *, limit: int, scope: Scope) -> Sequence[str]:
    """Return the hosts that hold a private key."""
    query = _at_places(sa.select(col(PlaceRow.address)).distinct().select_from(PlaceRow), scope)
    query = query.join(HeldRow, col(HeldRow.place_id) == col(PlaceRow.id))
    query = query.where(col(HeldRow.key_fingerprint) == key, col(Sighting.fingerprint).is_not(None))
    return [
        row[0] for row in (await session.execute(query.order_by(col(PlaceRow.address)).limit(limit))).all()
    ]


async def addresses(session: AsyncSession, *, after: str | None, limit: int, scope: Scope) -> Sequence[str]:
    """Return `limit + 1` addresses and hosts at which there are places, in order."""
    query = sa.select(col(PlaceRow.address)).distinct()
    if scope is not None:
        query = _at_places(query.select_from(PlaceRow), scope)
    if after is not None:
        query = query.where(col(PlaceRow.address) > after)
    rows = await session.execute(query.order_by(col(PlaceRow.address)).limit(limit + 1))
    return [row[0] for row in rows.all()]


async def devices(session: AsyncSession, wanted: Collection[str], *, scope: Scope) -> Mapping[str, Device]:
    """Return how much is at some addresses."""
    address, at = col(PlaceRow.address), col(Sighting.fingerprint)
    counts = sa.select(
        address,
        sa.func.count(),
        sa.func.count().filter(at.is_(None)),
        sa.func.count(sa.distinct(at)),
        sa.func.max(col(Sighting.last_seen)),
    ).select_from(PlaceRow)
    counts = _at_places(counts, scope).where(address.in_(wanted)).group_by(address)
    wrong = sa.select(address, col(FlawRow.flaw), sa.func.count()).select_from(PlaceRow)
    wrong = _at_places(wrong, scope).join(FlawRow, col(FlawRow.place_id) == col(PlaceRow.id))
    wrong = wrong.where(address.in_(wanted), col(FlawRow.ended_at).is_(None)).group_by(
        address, col(FlawRow.flaw)
    )
    flaws: dict[str, dict[Flaw, int]] = {}
    for where, flaw, count in (await session.execute(wrong)).all():
        flaws.setdefault(where, {})[Flaw(flaw)] = count
    return {
        where: Device(
            address=where,
            places=places,
            lost=lost,
            certificates=known,
            last_seen=seen,
            flaws=flaws.get(where, {}),
        )
        for where, places, lost, known, seen in (await session.execute(counts)).all()
    }


async def same_device(session: AsyncSession, wanted: Collection[str]) -> Mapping[str, frozenset[str]]:
    """Return for addresses and hosts the others that are known to be of the same host.

    A store tells the addresses of its host. What more hosts say to have is nobody's own and tells nothing.
    """
    fronts = await _fronts(session, wanted)
    every = {front for each in fronts.values() for front in each}
    members: dict[str | None, set[str]] = {}
    listed = sa.select(col(FrontAddress.front_id), col(FrontAddress.address))
    for front, address in (await session.execute(listed.where(col(FrontAddress.front_id).in_(every)))).all():
        members.setdefault(front, set()).add(address)
    held = sa.select(col(HeldRow.front_id), col(PlaceRow.address)).distinct()
    held = held.join(PlaceRow, col(PlaceRow.id) == col(HeldRow.place_id))
    for its_front, host in (await session.execute(held.where(col(HeldRow.front_id).in_(every)))).all():
        members.setdefault(its_front, set()).add(host)
    bridges = await _bridges(session, {address for each in members.values() for address in each})
    return {
        each: frozenset(other for front in fronts.get(each, ()) for other in members.get(front, ()))
        - bridges
        - {each}
        for each in wanted
    }


async def _fronts(session: AsyncSession, wanted: Collection[str]) -> Mapping[str, Collection[str]]:
    bridges = await _bridges(session, wanted)
    fronts: dict[str, set[str]] = {}
    served = sa.select(col(FrontAddress.address), col(FrontAddress.front_id))
    served = served.where(col(FrontAddress.address).in_(set(wanted) - bridges))
    held = sa.select(col(PlaceRow.address), col(HeldRow.front_id)).distinct()
    held = held.join(PlaceRow, col(PlaceRow.id) == col(HeldRow.place_id))
    held = held.where(col(PlaceRow.address).in_(wanted), col(HeldRow.front_id).is_not(None))
    for query in (served, held):
        for address, front in (await session.execute(query)).all():
            fronts.setdefault(address, set()).add(front or "")
    return fronts


async def _bridges(session: AsyncSession, wanted: Collection[str]) -> frozenset[str]:
    query = sa.select(col(FrontAddress.address)).where(col(FrontAddress.address).in_(wanted))
    query = query.group_by(col(FrontAddress.address)).having(sa.func.count() > MOST_FRONTS)
    return frozenset((await session.scalars(query)).all())


async def places_at(
    session: AsyncSession, wanted: Collection[str], *, limit: int, scope: Scope
) -> Sequence[Placed]:
    """Return places at some addresses."""
    query = _at_places(sa.select(PlaceRow, Sighting), scope).where(col(PlaceRow.address).in_(wanted))
    found = await session.execute(
        query.order_by(col(PlaceRow.address), col(PlaceRow.port), col(PlaceRow.id)).limit(limit)
    )
    return [(place, seen) for place, seen in found.all()]


async def places_with(
    session: AsyncSession, fingerprint: str, *, limit: int, scope: Scope
) -> Sequence[Placed]:
    """Return places that have a certificate now."""
    query = _at_places(sa.select(PlaceRow, Sighting), scope).where(col(Sighting.fingerprint) == fingerprint)
    found = await session.execute(query.order_by(col(PlaceRow.id)).limit(limit))
    return [(place, seen) for place, seen in found.all()]


async def keys_held_at(
    session: AsyncSession, wanted: Collection[str], *, limit: int, scope: Scope
) -> Sequence[str]:
    """Return the private keys that stores at some addresses hold."""
    query = _at_places(sa.select(col(HeldRow.key_fingerprint)).distinct().select_from(PlaceRow), scope)
    query = query.join(HeldRow, col(HeldRow.place_id) == col(PlaceRow.id))
    query = query.where(col(PlaceRow.address).in_(wanted), col(HeldRow.key_fingerprint).is_not(None))
    query = query.where(col(Sighting.fingerprint).is_not(None))
    rows = await session.execute(query.order_by(col(HeldRow.key_fingerprint)).limit(limit))
    return [row[0] for row in rows.all()]


async def servings_of(
    session: AsyncSession,
    fingerprint: str,
    *,
    during: Period | None,
    after: tuple[str, datetime] | None,
    limit: int,
    scope: Scope,
) -> Sequence[tuple[PlaceRow, Serving]]:
    """Return `limit + 1` stretches of time in which places had a certificate, by place."""
    place, since = col(ServingRow.place_id), col(ServingRow.since)
    query = sa.select(PlaceRow, ServingRow, col(Sighting.last_seen)).join(PlaceRow, col(PlaceRow.id) == place)
    query = query.join(Sighting, col(Sighting.place_id) == place)
    query = query.where(col(ServingRow.fingerprint) == fingerprint, *visible_servings(scope))
    if during is not None:
        query = query.where(is_during(during))
    if after is not None:
        query = query.where(place >= after[0], sa.or_(place > after[0], since > after[1]))
    rows = await session.execute(query.order_by(place, since).limit(limit + 1))
    return [(where, _serving(row, last_seen)) for where, row, last_seen in rows.all()]


def is_during(period: Period) -> sa.ColumnElement[bool]:
    """Say that a place served something at some instant from the first, included, to the second."""
    begins, ends = period
    until = col(ServingRow.until)
    before = col(ServingRow.since) <= ends if begins == ends else col(ServingRow.since) < ends
    return sa.and_(before, sa.or_(until.is_(None), until > begins))


def _serving(row: ServingRow, last_seen: datetime) -> Serving:
    latest = max(row.last_seen, last_seen) if row.until is None else row.last_seen
    return Serving(fingerprint=row.fingerprint, since=row.since, last_seen=latest, until=row.until)


async def server_names(
    session: AsyncSession, fingerprints: Collection[str], *, limit: int
) -> Mapping[str, Sequence[str]]:
    """Return the names under which certificates are served, at most so many in all."""
    query = (
        sa.select(col(Sighting.fingerprint), col(PlaceRow.server_name))
        .distinct()
        .join(PlaceRow, col(PlaceRow.id) == col(Sighting.place_id))
        .where(col(Sighting.fingerprint).in_(fingerprints), col(PlaceRow.server_name).is_not(None))
        .order_by(col(Sighting.fingerprint), col(PlaceRow.server_name))
        .limit(limit)
    )
    names: dict[str, list[str]] = {}
    for fingerprint, name in (await session.execute(query)).all():
        names.setdefault(fingerprint or "", []).append(name or "")
    return names


async def names_between(
    session: AsyncSession, begins: str, ends: str, *, limit: int, scope: Scope
) -> Sequence[str]:
    """Return names of certificates that, written backwards, lie between two texts."""
    query = sa.select(col(CertificateName.name)).distinct()
    query = query.join(Certificate, col(Certificate.fingerprint) == col(CertificateName.fingerprint))
    backwards = col(CertificateName.backwards)
    query = query.where(backwards >= begins, backwards < ends, *visible_certificates(scope))
    return (await session.scalars(query.order_by(col(CertificateName.name)).limit(limit))).all()
