"""The places that have served certificates."""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.discovery.store.tables import KnownPlace
from shared.store import Transaction, insert, write_rows


async def list_places(session: AsyncSession, *, after: str | None, limit: int) -> Sequence[KnownPlace]:
    """Return known places by key."""
    query = sa.select(KnownPlace).order_by(col(KnownPlace.key)).limit(limit + 1)
    if after:
        query = query.where(col(KnownPlace.key) > after)
    return (await session.scalars(query)).all()


async def see_places(tx: Transaction, rows: Sequence[dict[str, Any]]) -> None:
    """Keep what the places serve now; rows have distinct keys."""
    statement = insert(tx, KnownPlace)
    changes = {name: statement.excluded[name] for name in ("fingerprint", "last_seen", "misses", "missed_at")}
    await write_rows(tx, statement.on_conflict_do_update(index_elements=["key"], set_=changes), rows)


async def fingerprints_at(tx: Transaction, keys: Sequence[str]) -> dict[str, str]:
    """Return what those of the places that are known were last seen to serve, held until the transaction ends."""
    if not keys:
        return {}
    query = sa.select(col(KnownPlace.key), col(KnownPlace.fingerprint)).where(col(KnownPlace.key).in_(keys))
    rows = await tx.session.execute(query.order_by(col(KnownPlace.key)).with_for_update())
    return {row.key: row.fingerprint for row in rows.all()}


async def places_at(tx: Transaction, addresses: Collection[str]) -> Sequence[KnownPlace]:
    """Return the known places of these addresses, held until the transaction ends."""
    query = sa.select(KnownPlace).where(col(KnownPlace.address).in_(addresses)).order_by(col(KnownPlace.key))
    return (await tx.session.scalars(query.with_for_update())).all()


async def place_seen(
    session: AsyncSession, address: str, *, port: int, server_name: str | None
) -> KnownPlace | None:
    """Return the known place of an address and port that was seen last; by its name first, else by none."""
    has_name = col(KnownPlace.server_name) == server_name
    query = sa.select(KnownPlace).where(
        col(KnownPlace.address) == address,
        col(KnownPlace.port) == port,
        sa.or_(has_name, col(KnownPlace.server_name).is_(None)) if server_name else sa.true(),
    )
    order = sa.case((has_name, 0), else_=1), col(KnownPlace.last_seen).desc()
    return (await session.scalars(query.order_by(*order).limit(1))).first()
