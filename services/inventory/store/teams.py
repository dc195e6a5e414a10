"""Teams, and what still needs one."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.store import tallies
from services.inventory.store.organised import AssignmentRule, TeamRow
from services.inventory.store.tables import Certificate
from services.inventory.store.visibility import Scope, visible_certificates
from shared.store import Transaction, insert


@dataclass(frozen=True, kw_only=True)
class Uses:
    """How often a team is needed, and as what."""

    certificates: int
    rules: int
    deputy_of: int

    @property
    def are_none(self) -> bool:
        """Return whether nothing needs it."""
        return not (self.certificates or self.rules or self.deputy_of)


async def add_team(tx: Transaction, row: TeamRow) -> bool:
    """Add a team; return False where its id or name is taken."""
    new = insert(tx, TeamRow).values(row.model_dump()).on_conflict_do_nothing().returning(col(TeamRow.id))
    return await tx.session.scalar(new) is not None


async def team(session: AsyncSession, team_id: str) -> TeamRow | None:
    """Return a team."""
    query = sa.select(TeamRow).where(col(TeamRow.id) == team_id)
    found: TeamRow | None = await session.scalar(query.execution_options(populate_existing=True))
    return found


async def held_team(tx: Transaction, team_id: str) -> TeamRow | None:
    """Return a team, held until the transaction ends."""
    query = sa.select(TeamRow).where(col(TeamRow.id) == team_id).with_for_update()
    found: TeamRow | None = await tx.session.scalar(query.execution_options(populate_existing=True))
    return found


async def kept_teams(tx: Transaction, ids: Collection[str | None]) -> set[str]:
    """Return those of these ids that are teams; they are not deleted before the transaction ends."""
    query = sa.select(col(TeamRow.id)).where(col(TeamRow.id).in_(ids)).with_for_update(key_share=True)
    return set((await tx.session.scalars(query)).all())


async def name_is_taken(session: AsyncSession, name: str, *, but: str) -> bool:
    """Return whether another team has this name."""
    query = sa.select(col(TeamRow.id)).where(col(TeamRow.name) == name, col(TeamRow.id) != but)
    return await session.scalar(query) is not None


async def page(session: AsyncSession, *, after: str | None, limit: int) -> Sequence[TeamRow]:
    """Return `limit + 1` teams by their ids."""
    query = sa.select(TeamRow).order_by(col(TeamRow.id)).limit(limit + 1)
    return (await session.scalars(query if after is None else query.where(col(TeamRow.id) > after))).all()


async def teams(session: AsyncSession, ids: Collection[str]) -> Mapping[str, TeamRow]:
    """Return teams by their ids."""
    query = sa.select(TeamRow).where(col(TeamRow.id).in_(ids))
    return {row.id: row for row in (await session.scalars(query)).all()}


async def with_deputies(session: AsyncSession, ids: Collection[str]) -> Mapping[str, TeamRow]:
    """Return teams, and those that stand in for them, by their ids."""
    if not ids:
        return {}
    query = sa.select(col(TeamRow.deputy_id)).where(
        col(TeamRow.id).in_(ids), col(TeamRow.deputy_id).is_not(None)
    )
    standing_in = (await session.scalars(query)).all()
    return await teams(session, {*ids, *(each for each in standing_in if each is not None)})


async def deputies(session: AsyncSession) -> dict[str, str | None]:
    """Return which team stands in for which."""
    query = sa.select(col(TeamRow.id), col(TeamRow.deputy_id)).where(col(TeamRow.deputy_id).is_not(None))
    return {team_id: deputy for team_id, deputy in (await session.execute(query)).all()}  # noqa: C416 - a typed dict of rows


async def is_any(session: AsyncSession) -> bool:
    """Return whether there are teams at all."""
    return await session.scalar(sa.select(col(TeamRow.id)).limit(1)) is not None


async def owned(session: AsyncSession, ids: Collection[str], *, scope: Scope) -> dict[str, int]:
    """Return how many certificates each of these teams owns, of those that are in a scope."""
    kept = tallies.kept_for(session, scope)
    if kept is not None:
        numbers = (await tallies.numbers(session, kept, "owner"))["owner"]
        return {team_id: number for team_id, number in numbers.items() if team_id in ids and team_id}
    query = (
        sa.select(col(Certificate.owner_id), sa.func.count())
        .where(col(Certificate.owner_id).in_(ids), *visible_certificates(scope))
        .group_by(col(Certificate.owner_id))
    )
    return {team_id: count for team_id, count in (await session.execute(query)).all() if team_id}


async def uses(session: AsyncSession, team_id: str) -> Uses:
    """Return what needs a team."""

    async def count(column: Any) -> int:
        found: int | None = await session.scalar(sa.select(sa.func.count()).where(column == team_id))
        return found or 0

    return Uses(
        certificates=await count(col(Certificate.owner_id)),
        rules=await count(col(AssignmentRule.owner_id)),
        deputy_of=await count(col(TeamRow.deputy_id)),
    )


async def reassign(tx: Transaction, team_id: str, *, to: str) -> None:
    """Let another team take the place of one, everywhere; why a certificate is owned stays as it was."""
    places: tuple[tuple[Any, Any], ...] = (
        (Certificate, col(Certificate.owner_id)),
        (AssignmentRule, col(AssignmentRule.owner_id)),
        (TeamRow, col(TeamRow.deputy_id)),
    )
    for table, column in places:
        query = sa.update(table).where(column == team_id).values({column: to})
        await tx.session.execute(query.execution_options(synchronize_session=False))
    # Nobody stands in for oneself.
    own = sa.update(TeamRow).where(col(TeamRow.id) == to, col(TeamRow.deputy_id) == to)
    await tx.session.execute(own.values(deputy_id=None).execution_options(synchronize_session=False))
