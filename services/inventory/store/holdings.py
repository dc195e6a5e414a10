"""How stores keep certificates: the last that was told of each place of a store."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.domain.holdings import Flaw
from services.inventory.domain.slots import Seen
from services.inventory.store.tables import Certificate, HeldRow, PlaceRow, Sighting
from shared.events.discovery import Held
from shared.store import Transaction, insert

MOST_ENDPOINTS = 10_000
"""Looked at for one page of holdings."""
MOST_SHARED = 100
"""Other hosts that are named for one key."""


async def keep_held(tx: Transaction, place: str, held: Held, *, at: datetime) -> None:
    """Keep how a place holds its certificate; what is older than that is not."""
    key = held.key
    values = {
        "observed_at": at,
        "key_fingerprint": key.fingerprint if key else None,
        "is_key_exposed": bool(key and key.is_exposed),
        "is_key_match": key.is_match if key else None,
        "in_use": held.in_use,
        "details": held.model_dump(mode="json"),
    }
    row = insert(tx, HeldRow).values(place_id=place, **values)
    is_newer = col(HeldRow.observed_at) <= at
    await tx.session.execute(
        row.on_conflict_do_update(index_elements=["place_id"], set_=values, where=is_newer)
    )


async def page(
    session: AsyncSession,
    *,
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
    if flaw is not None:
        query = query.where(_FLAWED[flaw])
    if after is not None:
        query = query.where(col(PlaceRow.id) > after)
    found = await session.execute(query.order_by(col(PlaceRow.id)).limit(limit + 1))
    return [(place, seen, held) for place, seen, held in found.all()]


async def hosts_of_keys(session: AsyncSession, keys: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Return the addresses that hold each of some private keys, by the key's fingerprint."""
    columns = sa.select(col(HeldRow.key_fingerprint), col(PlaceRow.address)).distinct()
    query = _present(columns.select_from(PlaceRow)).where(col(HeldRow.key_fingerprint).in_(keys))
    hosts: dict[str, list[str]] = {}
    for key, address in (await session.execute(query.order_by(col(PlaceRow.address)))).all():
        hosts.setdefault(key, []).append(address)
    return hosts


async def endpoints(
    session: AsyncSession, *, addresses: Sequence[str], ports: Sequence[int]
) -> Sequence[Seen]:
    """Return what these addresses serve now at these ports."""
    query = (
        sa.select(PlaceRow, Sighting, col(Certificate.key_type))
        .join(Sighting, col(Sighting.place_id) == col(PlaceRow.id))
        .join(Certificate, col(Certificate.fingerprint) == col(Sighting.fingerprint))
        .where(col(PlaceRow.kind) == "endpoint", col(PlaceRow.address).in_(addresses))
        .where(col(PlaceRow.port).in_(ports))
        .order_by(col(PlaceRow.id))
        .limit(MOST_ENDPOINTS)
    )
    return [
        Seen(
            address=place.address,
            port=place.port,
            server_name=place.server_name,
            starttls=place.starttls,
            fingerprint=seen.fingerprint,
            key_type=key_type,
            last_seen=seen.last_seen,
        )
        for place, seen, key_type in (await session.execute(query)).all()
        if place.port is not None and seen.fingerprint is not None
    ]


def _present(query: sa.Select[*tuple[Any, ...]]) -> sa.Select[*tuple[Any, ...]]:
    return (
        query.join(Sighting, col(Sighting.place_id) == col(PlaceRow.id))
        .join(HeldRow, col(HeldRow.place_id) == col(PlaceRow.id))
        .where(col(Sighting.fingerprint).is_not(None))
    )


def _on_several_hosts() -> sa.ColumnElement[bool]:
    keys = _present(sa.select(col(HeldRow.key_fingerprint)).select_from(PlaceRow))
    keys = keys.where(col(HeldRow.key_fingerprint).is_not(None)).group_by(col(HeldRow.key_fingerprint))
    return col(HeldRow.key_fingerprint).in_(
        keys.having(sa.func.count(sa.distinct(col(PlaceRow.address))) > 1).correlate(None)
    )


_FLAWED: Mapping[Flaw, sa.ColumnElement[bool]] = {
    Flaw.KEY_EXPOSED: col(HeldRow.is_key_exposed).is_(True),
    Flaw.KEY_MISMATCH: col(HeldRow.is_key_match).is_(False),
    Flaw.KEY_SHARED: _on_several_hosts(),
    Flaw.UNUSED: col(HeldRow.in_use).is_(False),
}
"""The rules of `domain.holdings`, as questions to the database."""
