"""Where certificates are, asked of many at once."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlmodel import col

from services.inventory.domain.holdings import ISSUED
from services.inventory.store.tables import HeldRow, PlaceRow, Sighting
from shared.store import Transaction
from shared.store.parameters import among


async def served(tx: Transaction, fingerprints: Collection[str]) -> set[str]:
    """Return which of these any place has now; that an authority has issued one is no place of its own."""
    issued = sa.select(col(HeldRow.place_id)).where(
        col(HeldRow.place_id) == col(Sighting.place_id), col(HeldRow.format) == ISSUED
    )
    fingerprint = col(Sighting.fingerprint)
    query = sa.select(fingerprint).where(among(tx.session, fingerprint, fingerprints), ~issued.exists())
    return {each for each in (await tx.session.scalars(query.distinct())).all() if each is not None}


async def serving_each(
    tx: Transaction, fingerprints: Collection[str], *, limit: int
) -> dict[str, list[PlaceRow]]:
    """Return the first places that serve each of these certificates now, by their ids."""
    fingerprint, place = col(Sighting.fingerprint), col(Sighting.place_id)
    number = sa.func.row_number().over(partition_by=fingerprint, order_by=place).label("number")
    numbered = (
        sa.select(fingerprint, place, number).where(among(tx.session, fingerprint, fingerprints)).subquery()
    )
    query = (
        sa.select(numbered.c.fingerprint, PlaceRow)
        .join(PlaceRow, col(PlaceRow.id) == numbered.c.place_id)
        .where(numbered.c.number <= limit)
        .order_by(numbered.c.place_id)
    )
    found: dict[str, list[PlaceRow]] = {}
    for each, row in (await tx.session.execute(query)).all():
        found.setdefault(each, []).append(row)
    return found


async def count_each(tx: Transaction, fingerprints: Collection[str]) -> dict[str, int]:
    """Return how many places serve each of these certificates now."""
    fingerprint = col(Sighting.fingerprint)
    query = sa.select(fingerprint, sa.func.count()).where(among(tx.session, fingerprint, fingerprints))
    rows = (await tx.session.execute(query.group_by(fingerprint))).all()
    return {each: count for each, count in rows if each is not None}


async def watch_all(tx: Transaction, fingerprints: Collection[str]) -> None:
    """From now on, seeing these certificates anywhere again means something."""
    query = (
        sa.update(Sighting)
        .where(among(tx.session, col(Sighting.fingerprint), fingerprints))
        .values(is_watched=True)
    )
    await tx.session.execute(query.execution_options(synchronize_session=False))


async def places(tx: Transaction, ids: Collection[str]) -> Sequence[PlaceRow]:
    """Return places by their ids, however many."""
    query = sa.select(PlaceRow).where(among(tx.session, col(PlaceRow.id), ids)).order_by(col(PlaceRow.id))
    return (await tx.session.scalars(query)).all()
