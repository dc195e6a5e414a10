"""Pages of what renewal remembers, as far as a caller sees it, and what has a name."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.renewal.domain.campaigns import ItemState
from services.renewal.store.campaign_tables import Campaign, CampaignItem
from services.renewal.store.tables import LINEAGES, Authority, Enrolment, KeyRelease, Order, Profile
from shared.groups import EVERYBODY
from shared.store.scopes import Scope, within


async def newest(
    session: AsyncSession,
    table: type[Any],
    *,
    after: str | None,
    limit: int,
    scope: Scope,
    **having: str | None,
) -> Sequence[Any]:
    """Return up to `limit + 1` rows of a scope with these values, newest first; None is no condition."""
    asked = {name: value for name, value in having.items() if value is not None}
    query = sa.select(table).filter_by(**asked).where(_in_scope(table, scope))
    query = query.order_by(table.id.desc()).limit(limit + 1)
    if after is not None:
        query = query.where(table.id < after)
    return (await session.scalars(query)).all()


def _in_scope(table: type[Any], scope: Scope) -> sa.ColumnElement[bool]:
    if scope is None:
        return sa.true()
    if table is Campaign:
        return within(table.groups, scope)
    if table in (Authority, Profile):
        return within(table.groups, {*scope, EVERYBODY})
    if table is KeyRelease:
        its_order = sa.select(col(Order.id)).where(col(Order.id) == col(KeyRelease.order_id))
        return its_order.where(_in_scope(Order, scope)).exists()
    return LINEAGES.within(table.lineage_id, scope)


async def enrolments(
    session: AsyncSession, *, after: str | None, limit: int, scope: Scope
) -> Sequence[Enrolment]:
    """Return up to `limit + 1` enrolments of a scope in the order of their lineages."""
    query = sa.select(Enrolment).where(_in_scope(Enrolment, scope))
    query = query.order_by(col(Enrolment.lineage_id)).limit(limit + 1)
    if after is not None:
        query = query.where(col(Enrolment.lineage_id) > after)
    return (await session.scalars(query)).all()


async def profile_named(session: AsyncSession, name: str) -> Profile | None:
    """Return the profile of this name."""
    found: Profile | None = await session.scalar(sa.select(Profile).where(col(Profile.name) == name))
    return found


async def authority_named(session: AsyncSession, name: str) -> Authority | None:
    """Return the authority of this name."""
    found: Authority | None = await session.scalar(sa.select(Authority).where(col(Authority.name) == name))
    return found


async def authorities_of(session: AsyncSession, profiles: Sequence[Profile]) -> dict[str, Authority]:
    """Return the authorities of profiles, fallbacks included, by their ids."""
    ids = {each.authority_id for each in profiles} | {each.fallback_authority_id for each in profiles}
    rows = await session.scalars(sa.select(Authority).where(col(Authority.id).in_(ids - {None})))
    return {row.id: row for row in rows}


async def names_of(session: AsyncSession, table: type[Any], ids: set[str]) -> dict[str, str]:
    """Return the names of rows by their ids."""
    rows = await session.execute(sa.select(table.id, table.name).where(table.id.in_(ids)))
    return {row.id: row.name for row in rows}


async def profiles_by_name(session: AsyncSession) -> dict[str, Profile]:
    """Return all profiles by their names."""
    return {row.name: row for row in await session.scalars(sa.select(Profile))}


async def profiles_of(session: AsyncSession, ids: Collection[str | None]) -> Sequence[Profile]:
    """Return profiles by their ids."""
    return (await session.scalars(sa.select(Profile).where(col(Profile.id).in_(ids)))).all()


class Uses(NamedTuple):
    """What goes by a profile."""

    is_enrolled: bool
    """A lineage is renewed by it."""
    is_planned: bool
    """A campaign is to order by it."""
    is_ordered: bool
    """Something was ordered by it, whatever became of that."""


async def uses_of(session: AsyncSession, profile_id: str) -> Uses:
    """Return what goes by a profile."""
    planned = sa.select(CampaignItem).where(
        col(CampaignItem.profile_id) == profile_id, col(CampaignItem.state) == ItemState.PLANNED
    )
    enrolled = sa.select(Enrolment).where(col(Enrolment.profile_id) == profile_id)
    ordered = sa.select(Order).where(col(Order.profile_id) == profile_id)
    row = (await session.execute(sa.select(enrolled.exists(), planned.exists(), ordered.exists()))).one()
    return Uses(*map(bool, row))
