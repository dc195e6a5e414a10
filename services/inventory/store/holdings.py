"""How stores keep certificates: the last that was told of each place of a store."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.domain.holdings import is_named
from services.inventory.domain.slots import Seen, Stored
from services.inventory.store.flaws import has_flaw
from services.inventory.store.tables import Certificate, HeldRow, PlaceRow, Sighting
from services.inventory.store.visibility import Scope, visible_places
from shared.events.discovery import Held
from shared.events.inventory import Flaw
from shared.store import Transaction, insert

MOST_ENDPOINTS = 10_000
"""Looked at for one page of holdings."""
MOST_NAMES = 2_000
"""Endpoints are looked for by their names up to so many; beyond, all at the port are taken."""
MOST_SHARED = 100
"""Other hosts that are named for one key."""


@dataclass(frozen=True, kw_only=True)
class Before:
    """What a store held before something was told of it."""

    fingerprint: str | None = None
    key_fingerprint: str | None = None
    is_named: bool = False


async def before(tx: Transaction, place: str) -> Before:
    """Return what a store holds as far as is known."""
    query = (
        sa.select(col(Sighting.fingerprint), col(HeldRow.key_fingerprint), col(HeldRow.is_named))
        .join(HeldRow, col(HeldRow.place_id) == col(Sighting.place_id))
        .where(col(Sighting.place_id) == place, col(Sighting.fingerprint).is_not(None))
    )
    row = (await tx.session.execute(query)).first()
    return Before() if row is None else Before(fingerprint=row[0], key_fingerprint=row[1], is_named=row[2])


async def held_row(tx: Transaction, place: str) -> HeldRow | None:
    """Return how a place holds its certificate, as the database has it."""
    query = sa.select(HeldRow).where(col(HeldRow.place_id) == place)
    found: HeldRow | None = await tx.session.scalar(query.execution_options(populate_existing=True))
    return found


async def keep_held(tx: Transaction, place: str, held: Held, *, at: datetime) -> bool:
    """Keep how a place holds its certificate; what is older than that is not. Return whether that is news."""
    known, details = await held_row(tx, place), held.model_dump(mode="json")
    is_same = known is not None and known.details == details
    if known is not None and is_same and known.is_joined and not known.is_waiting:
        query = sa.update(HeldRow).where(col(HeldRow.place_id) == place, col(HeldRow.observed_at) < at)
        await tx.session.execute(query.values(observed_at=at).execution_options(synchronize_session=False))
        return False
    values = {
        "observed_at": at,
        "key_fingerprint": held.key.fingerprint if held.key else None,
        "is_key_exposed": bool(held.key and held.key.is_exposed),
        "is_key_match": held.key.is_match if held.key else None,
        "in_use": held.in_use,
        "format": held.format[:50],
        "is_named": is_named(held),
        "is_joined": bool(known and known.is_joined and is_same),
        "is_waiting": False,
        "details": details,
    }
    row = insert(tx, HeldRow).values(place_id=place, **values)
    is_newer = col(HeldRow.observed_at) <= at
    row = row.on_conflict_do_update(index_elements=["place_id"], set_=values, where=is_newer)
    return await tx.session.scalar(row.returning(col(HeldRow.place_id))) is not None


async def page(
    session: AsyncSession,
    *,
    scope: Scope,
    after: str | None,
    limit: int,
    address: str | None,
    fingerprint: str | None,
    flaw: Flaw | None,
) -> Sequence[tuple[PlaceRow, Sighting, HeldRow]]:
    """Return `limit + 1` holdings that are there now, by the place's id."""
    query = _present(sa.select(PlaceRow, Sighting, HeldRow))
    wanted = ((PlaceRow.address, address), (Sighting.fingerprint, fingerprint))
    query = query.where(*(col(column) == value for column, value in wanted if value is not None))
    query = query.where(*visible_places(scope))
    if flaw is not None:
        query = query.where(has_flaw(flaw))
    if after is not None:
        query = query.where(col(PlaceRow.id) > after)
    found = await session.execute(query.order_by(col(PlaceRow.id)).limit(limit + 1))
    return [(place, seen, held) for place, seen, held in found.all()]


async def stored(session: AsyncSession, places: Collection[str], *, scope: Scope) -> dict[str, Stored]:
    """Return what these places hold, those that do and may be seen."""
    query = _present(sa.select(PlaceRow, Sighting, HeldRow, col(Certificate.key_type), _NOT_BEFORE))
    query = query.join(Certificate, col(Certificate.fingerprint) == col(Sighting.fingerprint))
    query = query.where(col(PlaceRow.id).in_(places), *visible_places(scope))
    query = query.execution_options(populate_existing=True)
    return {
        place.id: Stored(
            place_id=place.id,
            host=place.address,
            path=place.path or "",
            fingerprint=seen.fingerprint,
            key_type=key_type,
            not_before=not_before,
            held=Held.model_validate(held.details),
            is_named=held.is_named,
            first_seen=seen.first_seen,
            read_at=max(held.observed_at, seen.last_seen),
        )
        for place, seen, held, key_type, not_before in (await session.execute(query)).all()
    }


async def hosts_of_keys(
    session: AsyncSession, keys: Sequence[str], *, scope: Scope
) -> Mapping[str, Sequence[str]]:
    """Return the addresses to be seen that hold each of some private keys, by the key's fingerprint."""
    columns = sa.select(col(HeldRow.key_fingerprint), col(PlaceRow.address)).distinct()
    query = _present(columns.select_from(PlaceRow)).where(
        col(HeldRow.key_fingerprint).in_(keys), *visible_places(scope)
    )
    hosts: dict[str, list[str]] = {}
    for key, address in (await session.execute(query.order_by(col(PlaceRow.address)))).all():
        hosts.setdefault(key, []).append(address)
    return hosts


async def places_of_key(
    session: AsyncSession, key: str, *, not_at: Collection[str] = (), at: str | None = None, limit: int
) -> Sequence[PlaceRow]:
    """Return places that hold a private key: of one host, or of none of some."""
    query = _present(sa.select(PlaceRow)).where(col(HeldRow.key_fingerprint) == key)
    query = query.where(col(PlaceRow.address).not_in(not_at))
    if at is not None:
        query = query.where(col(PlaceRow.address) == at)
    return (await session.scalars(query.limit(limit))).all()


async def endpoints(
    session: AsyncSession,
    *,
    addresses: Collection[str],
    ports: Collection[int],
    names: Collection[str | None],
    scope: Scope,
    limit: int = MOST_ENDPOINTS,
) -> Sequence[Seen]:
    """Return what these addresses serve now at these ports, for these names and wildcards."""
    query = _serving().where(col(PlaceRow.address).in_(addresses), col(PlaceRow.port).in_(ports))
    query = query.where(*visible_places(scope))
    return await _seen(session, query.where(_is_asked(names)).limit(limit))


async def seen(session: AsyncSession, places: Collection[str]) -> Sequence[Seen]:
    """Return what these endpoints serve now, those that do."""
    return await _seen(session, _serving().where(col(PlaceRow.id).in_(places)))


def _serving() -> sa.Select[PlaceRow, Sighting, str | None, datetime | None]:
    return (
        sa.select(PlaceRow, Sighting, col(Certificate.key_type), _NOT_BEFORE)
        .join(Sighting, col(Sighting.place_id) == col(PlaceRow.id))
        .join(Certificate, col(Certificate.fingerprint) == col(Sighting.fingerprint))
        .where(col(PlaceRow.kind) == "endpoint")
        .order_by(col(PlaceRow.id))
        .execution_options(populate_existing=True)
    )


async def _seen(
    session: AsyncSession, query: sa.Select[PlaceRow, Sighting, str | None, datetime | None]
) -> Sequence[Seen]:
    return [
        Seen(
            place_id=place.id,
            address=place.address,
            port=place.port or 0,
            server_name=place.server_name,
            starttls=place.starttls,
            fingerprint=seen.fingerprint or "",
            key_type=key_type,
            not_before=not_before,
            first_seen=seen.first_seen,
            last_seen=seen.last_seen,
        )
        for place, seen, key_type, not_before in (await session.execute(query)).all()
    ]


def _is_asked(names: Collection[str | None]) -> sa.ColumnElement[bool]:
    if len(names) > MOST_NAMES:
        return sa.true()
    server_name = col(PlaceRow.server_name)
    ways = [
        server_name.endswith(name[1:], autoescape=True) for name in names if name and name.startswith("*.")
    ]
    ways.append(server_name.in_([name for name in names if name and not name.startswith("*.")]))
    if None in names:
        ways.append(server_name.is_(None))
    return sa.or_(*ways)


async def is_served_at(session: AsyncSession, fingerprint: str, *, addresses: Collection[str]) -> bool:
    """Return whether one of these addresses serves a certificate."""
    query = (
        sa.select(col(PlaceRow.id))
        .join(Sighting, col(Sighting.place_id) == col(PlaceRow.id))
        .where(col(PlaceRow.kind) == "endpoint", col(PlaceRow.address).in_(addresses))
        .where(col(Sighting.fingerprint) == fingerprint)
    )
    return await session.scalar(query.limit(1)) is not None


def _present(query: sa.Select[*tuple[Any, ...]]) -> sa.Select[*tuple[Any, ...]]:
    return (
        query.join(Sighting, col(Sighting.place_id) == col(PlaceRow.id))
        .join(HeldRow, col(HeldRow.place_id) == col(PlaceRow.id))
        .where(col(Sighting.fingerprint).is_not(None))
    )


_NOT_BEFORE = col(Certificate.not_before)
