"""Assignment rules, in the order in which they are asked."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.store.organised import AssignmentRule
from shared.store import Transaction

_ORDER = (col(AssignmentRule.position), col(AssignmentRule.id))


async def rules(session: AsyncSession, *, only_enabled: bool = False) -> Sequence[AssignmentRule]:
    """Return the rules, the one that is asked first first."""
    query = sa.select(AssignmentRule).order_by(*_ORDER)
    if only_enabled:
        query = query.where(col(AssignmentRule.is_enabled).is_(True))
    return (await session.scalars(query)).all()


async def rule(session: AsyncSession, rule_id: str) -> AssignmentRule | None:
    """Return a rule."""
    query = sa.select(AssignmentRule).where(col(AssignmentRule.id) == rule_id)
    found: AssignmentRule | None = await session.scalar(query.execution_options(populate_existing=True))
    return found


async def held_rule(tx: Transaction, rule_id: str) -> AssignmentRule | None:
    """Return a rule, held until the transaction ends."""
    query = sa.select(AssignmentRule).where(col(AssignmentRule.id) == rule_id).with_for_update()
    found: AssignmentRule | None = await tx.session.scalar(query.execution_options(populate_existing=True))
    return found


async def last_position(session: AsyncSession) -> int:
    """Return the position of the rule that is asked last; 0 where there is none."""
    return int(await session.scalar(sa.select(sa.func.max(col(AssignmentRule.position)))) or 0)


async def adding_to(session: AsyncSession, group_id: str) -> Sequence[str]:
    """Return the names of the rules that put certificates into a group."""
    return [row.name for row in await rules(session) if group_id in row.add_groups]
