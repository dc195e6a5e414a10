"""Queries on channels and rules."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.notifier.store.pages import page
from services.notifier.store.tables import Channel, Rule
from shared.store import Transaction
from shared.store.parameters import among
from shared.store.scopes import Scope, within


async def enabled_channels(
    session: AsyncSession,
) -> Sequence[tuple[str, str, frozenset[str], Mapping[str, Any]]]:
    """Return id, kind, groups and options of the channels that may be used, oldest first."""
    columns = (col(Channel.id), col(Channel.kind), col(Channel.groups), col(Channel.options))
    query = sa.select(*columns).where(col(Channel.enabled))
    rows = (await session.execute(query.order_by(col(Channel.id)))).all()
    return [(channel_id, kind, frozenset(groups), options) for channel_id, kind, groups, options in rows]


async def channels_of(session: AsyncSession, ids: Collection[str]) -> dict[str, Channel]:
    """Return channels by their ids."""
    query = sa.select(Channel).where(among(session, col(Channel.id), ids)).order_by(col(Channel.id))
    return {row.id: row for row in (await session.scalars(query)).all()}


async def all_rules(session: AsyncSession) -> Sequence[Rule]:
    """Return all rules."""
    return (await session.scalars(sa.select(Rule).order_by(col(Rule.id)))).all()


async def channels_page(
    session: AsyncSession, *, after: str | None, limit: int, scope: Scope
) -> Sequence[Channel]:
    """Return a page of the channels of a scope."""
    query = sa.select(Channel).where(within(Channel.groups, scope))
    found: Sequence[Channel] = await page(session, query, col(Channel.id), after=after, limit=limit)
    return found


async def rules_page(session: AsyncSession, *, after: str | None, limit: int, scope: Scope) -> Sequence[Rule]:
    """Return a page of the rules of a scope."""
    query = sa.select(Rule).where(within(Rule.groups, scope))
    found: Sequence[Rule] = await page(session, query, col(Rule.id), after=after, limit=limit)
    return found


async def unknown_channels(session: AsyncSession, ids: Collection[str], *, scope: Scope) -> list[str]:
    """Return those of some ids that are no channel's of a scope."""
    query = sa.select(col(Channel.id)).where(col(Channel.id).in_(ids), within(Channel.groups, scope))
    known = set((await session.scalars(query)).all())
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


async def keep_pace(tx: Transaction, channel_id: str, *, until: datetime, now: datetime) -> bool:
    """Let a channel rest until then; return False where it rests already, and now is not the time to send."""
    awake = sa.or_(col(Channel.rests_until).is_(None), col(Channel.rests_until) <= now)
    query = sa.update(Channel).where(col(Channel.id) == channel_id, awake).values(rests_until=until)
    return await tx.session.scalar(query.returning(col(Channel.id))) is not None


async def rest(tx: Transaction, channel_id: str, *, until: datetime) -> None:
    """Let a channel rest until then at least."""
    sooner = sa.or_(col(Channel.rests_until).is_(None), col(Channel.rests_until) < until)
    query = sa.update(Channel).where(col(Channel.id) == channel_id, sooner).values(rests_until=until)
    await tx.session.execute(query)


async def wake(tx: Transaction, channel_id: str) -> None:
    """Let a channel rest no more."""
    query = sa.update(Channel).where(col(Channel.id) == channel_id).values(rests_until=None)
    await tx.session.execute(query)
