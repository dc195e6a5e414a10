"""What was asked of each authority lately: what its budget is counted by."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from services.renewal.domain.orders import OPEN
from services.renewal.store.tables import Order, Table
from shared.ids import new_id
from shared.store import Instant, Transaction


class BudgetEntry(Table, table=True):
    """One order that was placed at an authority (`key`: its set of names), or one name that failed there."""

    __tablename__ = "budget_entries"
    __table_args__ = (sa.Index("ix_budget_entries", "authority_id", "what", "at"),)

    id: str = Field(primary_key=True, max_length=36)
    authority_id: str = Field(max_length=36)
    what: str = Field(max_length=10)
    """`order` or `failure`."""
    key: str = Field(max_length=255, index=True)
    order_id: str = Field(max_length=36)
    at: datetime = Field(sa_type=Instant)


async def lock_budget(tx: Transaction, authority_id: str) -> None:
    """Let one transaction at a time spend what may be asked of an authority."""
    if tx.session.get_bind().dialect.name == "postgresql":
        key = sa.func.hashtextextended(f"renewal budget {authority_id}", 0)
        await tx.session.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


async def spent(
    session: AsyncSession, *, authority_id: str, what: str, since: datetime, keys: Sequence[str] = ()
) -> Sequence[datetime]:
    """Return when it was asked since then, oldest first; with `keys`, for one of these only."""
    query = sa.select(col(BudgetEntry.at)).where(
        col(BudgetEntry.authority_id) == authority_id,
        col(BudgetEntry.what) == what,
        col(BudgetEntry.at) > since,
    )
    if keys:
        query = query.where(col(BudgetEntry.key).in_(keys))
    return (await session.scalars(query.order_by(col(BudgetEntry.at)))).all()


async def waiting_for_budget(session: AsyncSession, *, authority_id: str, besides: str) -> int:
    """Return how many other orders wait until an authority may be asked again."""
    query = sa.select(sa.func.count()).where(
        col(Order.authority_id) == authority_id,
        col(Order.held_by) == "budget",
        col(Order.state).in_(OPEN),
        col(Order.id) != besides,
    )
    return await session.scalar(query) or 0


def spend(
    tx: Transaction, *, authority_id: str, what: str, keys: Sequence[str], order_id: str, at: datetime
) -> None:
    """Remember what was asked of an authority."""
    tx.session.add_all(
        BudgetEntry(id=new_id(), authority_id=authority_id, what=what, key=key, order_id=order_id, at=at)
        for key in keys
    )


async def forget_spent(tx: Transaction, *, before: datetime) -> None:
    """Forget what no budget counts any more."""
    await tx.session.execute(sa.delete(BudgetEntry).where(col(BudgetEntry.at) < before))
