"""Host names that are known, from wherever: what servers are asked for beside what a scan names."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.discovery.store.tables import KnownName
from shared.store import Transaction, insert, write_rows


async def remember_names(
    tx: Transaction, names: Iterable[tuple[str, str]], *, origin: str, now: datetime
) -> None:
    """Keep pairs of name and address (empty where none is known) as seen now."""
    rows = [
        {"name": name, "address": address, "origin": origin, "seen_at": now}
        for name, address in sorted(set(names))
    ]
    statement = insert(tx, KnownName)
    keys = ["name", "address", "origin"]
    changes = {"seen_at": statement.excluded.seen_at}
    await write_rows(tx, statement.on_conflict_do_update(index_elements=keys, set_=changes), rows)


async def names_at(session: AsyncSession, addresses: Sequence[str]) -> dict[str, list[str]]:
    """Return the names that go with each of these addresses, those seen last first."""
    query = (
        sa.select(col(KnownName.address), col(KnownName.name))
        .where(col(KnownName.address).in_(addresses))
        .group_by(col(KnownName.address), col(KnownName.name))
        .order_by(sa.func.max(col(KnownName.seen_at)).desc(), col(KnownName.name))
    )
    found: dict[str, list[str]] = {}
    for address, name in (await session.execute(query)).all():
        found.setdefault(address, []).append(name)
    return found


async def names_under(session: AsyncSession, suffix: str, *, most: int) -> Sequence[str]:
    """Return known names that are `suffix` or end with it as a whole label, in alphabetical order."""
    is_under = sa.or_(
        col(KnownName.name) == suffix, col(KnownName.name).endswith(f".{suffix}", autoescape=True)
    )
    query = sa.select(col(KnownName.name)).where(is_under).distinct().order_by(col(KnownName.name))
    return (await session.scalars(query.limit(most))).all()


async def list_names(
    session: AsyncSession, *, under: str, after: str | None, limit: int
) -> Sequence[KnownName]:
    """Return all rows of the first `limit + 1` names after one, by name: names that are `under` or below it."""
    is_under = sa.or_(
        col(KnownName.name) == under, col(KnownName.name).endswith(f".{under}", autoescape=True)
    )
    wanted = sa.select(col(KnownName.name)).where(is_under).distinct().order_by(col(KnownName.name))
    if after:
        wanted = wanted.where(col(KnownName.name) > after)
    listed = wanted.limit(limit + 1).subquery()
    query = sa.select(KnownName).where(col(KnownName.name).in_(sa.select(listed.c.name)))
    order = col(KnownName.name), col(KnownName.origin), col(KnownName.address)
    return (await session.scalars(query.order_by(*order))).all()
