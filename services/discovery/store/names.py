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


PUBLIC = ("certificate", "transparency", "reverse")
"""How names became known that whoever looks can learn; the other ways need a login."""


async def names_at(
    session: AsyncSession, addresses: Sequence[str], *, is_public: bool
) -> dict[str, list[str]]:
    """Return the names that go with each of these addresses, those seen last first; or only public ones."""
    query = (
        sa.select(col(KnownName.address), col(KnownName.name))
        .where(col(KnownName.address).in_(addresses), _known(is_public=is_public))
        .group_by(col(KnownName.address), col(KnownName.name))
        .order_by(sa.func.max(col(KnownName.seen_at)).desc(), col(KnownName.name))
    )
    found: dict[str, list[str]] = {}
    for address, name in (await session.execute(query)).all():
        found.setdefault(address, []).append(name)
    return found


def _known(*, is_public: bool) -> sa.ColumnElement[bool]:
    return col(KnownName.origin).in_(PUBLIC) if is_public else sa.true()


async def names_under(session: AsyncSession, suffix: str, *, most: int, is_public: bool) -> Sequence[str]:
    """Return known names that are `suffix` or end with it as a whole label, in alphabetical order; or only public ones."""
    query = sa.select(col(KnownName.name)).where(_is_under(suffix), _known(is_public=is_public))
    query = query.distinct().order_by(col(KnownName.name))
    return (await session.scalars(query.limit(most))).all()


def _is_under(suffix: str) -> sa.ColumnElement[bool]:
    return sa.or_(col(KnownName.name) == suffix, col(KnownName.name).endswith(f".{suffix}", autoescape=True))


def _in_logs_for(suffixes: Sequence[str] | None, *, under: str) -> sa.ColumnElement[bool]:
    """Return the condition that a log was read for a name; None is no condition."""
    if suffixes is None:
        return sa.true()
    is_from_logs = col(KnownName.origin) == "transparency"
    if any(f".{under}".endswith(f".{suffix}") for suffix in suffixes):
        return is_from_logs
    below = [_is_under(suffix) for suffix in suffixes if suffix.endswith(f".{under}")]
    return sa.and_(is_from_logs, sa.or_(sa.false(), *below))


async def list_names(
    session: AsyncSession,
    *,
    under: str,
    after: str | None,
    limit: int,
    in_logs_for: Sequence[str] | None,
) -> Sequence[KnownName]:
    """Return all rows of the first `limit + 1` names after one, by name: names that are `under` or below it.

    With `in_logs_for` only what logs have told that are read for these names.
    """
    is_meant = _in_logs_for(in_logs_for, under=under)
    wanted = sa.select(col(KnownName.name)).where(_is_under(under), is_meant)
    wanted = wanted.distinct().order_by(col(KnownName.name))
    if after:
        wanted = wanted.where(col(KnownName.name) > after)
    listed = wanted.limit(limit + 1).subquery()
    query = sa.select(KnownName).where(col(KnownName.name).in_(sa.select(listed.c.name)), is_meant)
    order = col(KnownName.name), col(KnownName.origin), col(KnownName.address)
    return (await session.scalars(query.order_by(*order))).all()
