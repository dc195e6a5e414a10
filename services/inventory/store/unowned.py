"""Current certificates that nobody owns: how many, and what was told of it."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.domain.unowned import Queue
from services.inventory.store.organised import UnownedRow
from services.inventory.store.tables import Certificate
from services.inventory.store.visibility import Scope, visible_certificates
from shared.store import Transaction, insert

_ONE = 1


def is_unowned() -> sa.ColumnElement[bool]:
    """Say that a certificate is in use and nobody owns it."""
    return sa.and_(col(Certificate.owner_id).is_(None), col(Certificate.is_current))


async def count(session: AsyncSession, *, scope: Scope) -> int:
    """Return how many there are that a scope sees."""
    query = sa.select(sa.func.count()).select_from(Certificate)
    query = query.where(is_unowned(), *visible_certificates(scope))
    return int(await session.scalar(query) or 0)


async def queue(session: AsyncSession) -> Queue:
    """Return what is known of the queue."""
    row = await session.scalar(sa.select(UnownedRow).execution_options(populate_existing=True))
    if row is None:
        return Queue()
    return Queue(since=row.since, told_at=row.told_at, told_count=row.told_count)


async def held_queue(tx: Transaction) -> Queue:
    """Return what is known of the queue, held until the transaction ends."""
    new = insert(tx, UnownedRow).values(id=_ONE, since=None, told_at=None, told_count=0)
    await tx.session.execute(new.on_conflict_do_nothing())
    await tx.session.execute(sa.select(UnownedRow).with_for_update())
    return await queue(tx.session)


async def keep(tx: Transaction, now: Queue) -> None:
    """Keep what is known of the queue."""
    values = {"since": now.since, "told_at": now.told_at, "told_count": now.told_count}
    query = sa.update(UnownedRow).where(col(UnownedRow.id) == _ONE).values(values)
    await tx.session.execute(query.execution_options(synchronize_session=False))
