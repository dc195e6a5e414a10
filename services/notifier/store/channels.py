"""Queries on channels and rules."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.notifier.store.pages import page
from services.notifier.store.tables import Channel, Rule
from shared.store import Transaction


async def enabled_channels(session: AsyncSession) -> Sequence[str]:
    """Return the ids of the channels that may be used, oldest first."""
    query = sa.select(col(Channel.id)).where(col(Channel.enabled)).order_by(col(Channel.id))
    return (await session.scalars(query)).all()


async def all_rules(session: AsyncSession) -> Sequence[Rule]:
    """Return all rules."""
    return (await session.scalars(sa.select(Rule).order_by(col(Rule.id)))).all()


async def channels_page(session: AsyncSession, *, after: str | None, limit: int) -> Sequence[Channel]:
    """Return a page of channels."""
    found: Sequence[Channel] = await page(
        session, sa.select(Channel), col(Channel.id), after=after, limit=limit
    )
    return found


async def rules_page(session: AsyncSession, *, after: str | None, limit: int) -> Sequence[Rule]:
    """Return a page of rules."""
    found: Sequence[Rule] = await page(session, sa.select(Rule), col(Rule.id), after=after, limit=limit)
    return found


async def unknown_channels(session: AsyncSession, ids: Collection[str]) -> list[str]:
    """Return those of some ids that are no channel's."""
    known = set((await session.scalars(sa.select(col(Channel.id)).where(col(Channel.id).in_(ids)))).all())
    return [each for each in ids if each not in known]


async def held_channel(tx: Transaction, channel_id: str) -> Channel | None:
    """Return a channel, held until the transaction ends."""
    query = sa.select(Channel).where(col(Channel.id) == channel_id).with_for_update()
    found: Channel | None = await tx.session.scalar(query)
    return found


async def held_rule(tx: Transaction, rule_id: str) -> Rule | None:
    """Return a rule, held until the transaction ends."""
    query = sa.select(Rule).where(col(Rule.id) == rule_id).with_for_update()
    found: Rule | None = await tx.session.scalar(query)
    return found
