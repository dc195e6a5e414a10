"""What is wrong with places, since when, and when it last ended."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.store.tables import FlawRow, PlaceRow
from shared.events.inventory import Flaw
from shared.store import Transaction, insert

_TICK = timedelta(microseconds=1)
"""Clocks of replicas differ; what ends after it has begun is said to."""


async def open_flaws(session: AsyncSession, places: Collection[str]) -> Mapping[str, tuple[Flaw, ...]]:
    """Return what is wrong with some places."""
    query = sa.select(col(FlawRow.place_id), col(FlawRow.flaw)).where(
        col(FlawRow.place_id).in_(places), col(FlawRow.ended_at).is_(None)
    )
    found: dict[str, tuple[Flaw, ...]] = {}
    for place, flaw in (await session.execute(query.order_by(col(FlawRow.flaw)))).all():
        found[place] = (*found.get(place, ()), Flaw(flaw))
    return found


def has_flaw(flaw: Flaw) -> sa.ColumnElement[bool]:
    """Say that this is wrong with a place."""
    open_ = sa.select(col(FlawRow.place_id)).where(col(FlawRow.flaw) == flaw, col(FlawRow.ended_at).is_(None))
    return col(PlaceRow.id).in_(open_)


async def begin(tx: Transaction, place: str, flaw: Flaw, *, now: datetime) -> datetime | None:
    """Note that something is wrong with a place; return since when, or None where it was known already."""
    row = await _row(tx, place, flaw)
    if row is not None and row.ended_at is None:
        return None
    since = now if row is None or row.ended_at is None else max(now, row.ended_at + _TICK)
    values = {"since": since, "ended_at": None}
    new = insert(tx, FlawRow).values(place_id=place, flaw=flaw, **values)
    await tx.session.execute(new.on_conflict_do_update(index_elements=["place_id", "flaw"], set_=values))
    return since


async def end(tx: Transaction, place: str, flaw: Flaw, *, now: datetime) -> datetime | None:
    """Note that something is wrong no more; return when that is said to be, or None where it was known already."""
    row = await _row(tx, place, flaw)
    if row is None or row.ended_at is not None:
        return None
    ended_at = max(now, row.since + _TICK)
    query = sa.update(FlawRow).where(col(FlawRow.place_id) == place, col(FlawRow.flaw) == flaw)
    await tx.session.execute(query.values(ended_at=ended_at).execution_options(synchronize_session=False))
    return ended_at


async def _row(tx: Transaction, place: str, flaw: Flaw) -> FlawRow | None:
    query = sa.select(FlawRow).where(col(FlawRow.place_id) == place, col(FlawRow.flaw) == flaw)
    found: FlawRow | None = await tx.session.scalar(query.execution_options(populate_existing=True))
    return found
