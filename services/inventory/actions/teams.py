"""Teams: who owns certificates, how they are reached, and who stands in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from services.inventory.actions.wanted import refuse_scoped
from services.inventory.domain.slugs import slug_of
from services.inventory.domain.teams import is_circle
from services.inventory.store import groups, teams
from services.inventory.store.organised import TeamRow
from services.inventory.store.teams import Uses
from shared.access import Principal
from shared.acting import also
from shared.errors import Conflict, Fault, Invalid, NotFound, Stale
from shared.store import Database, Transaction

log = structlog.get_logger(__name__)
WHAT = "teams"


@dataclass(frozen=True, kw_only=True)
class TeamText:
    """What a team is; `deputy` is a team's id, or a contact, or neither."""

    name: str
    contacts: Sequence[dict[str, Any]]
    deputy_team: str | None
    deputy_contact: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class OwningTeam:
    """A team and how many certificates it owns."""

    row: TeamRow
    owns: int


class Teams:
    """The verbs on teams."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, team_id: str | None, text: TeamText, *, caller: Principal, now: datetime
    ) -> OwningTeam:
        """Make a team; an id that is left out is made of the name. Raises `Invalid`, `Conflict` or `Forbidden`."""
        refuse_scoped(caller, what=WHAT)
        row = TeamRow(
            id=team_id or _id_of(text.name),
            name=text.name,
            contacts=list(text.contacts),
            deputy_id=text.deputy_team,
            deputy_contact=text.deputy_contact,
            created_at=now,
            created_by=caller.id,
        )
        async with self._database.transaction() as tx:
            await _check_deputy(tx, row)
            if not await teams.add_team(tx, row):
                raise _taken(row)
            tx.record_row(row, "created")
        log.info("team.created", team=row.id, by=caller.id)
        return OwningTeam(row=row, owns=0)

    async def page(self, *, after: str | None, limit: int, caller: Principal) -> list[OwningTeam]:
        """Return `limit + 1` teams by their ids."""
        async with self._database.read() as session:
            rows = await teams.page(session, after=after, limit=limit)
            owned = await teams.owned(session, [row.id for row in rows], scope=caller.scope)
        return [OwningTeam(row=row, owns=owned.get(row.id, 0)) for row in rows]

    async def get(self, team_id: str, *, caller: Principal) -> OwningTeam:
        """Return a team. Raises `NotFound`."""
        async with self._database.read() as session:
            row = _found(await teams.team(session, team_id), team_id)
            owned = await teams.owned(session, [team_id], scope=caller.scope)
        return OwningTeam(row=row, owns=owned.get(team_id, 0))

    async def replace(self, team_id: str, text: TeamText, *, version: int, caller: Principal) -> OwningTeam:
        """Let a team be described otherwise. Raises `NotFound`, `Stale`, `Invalid`, `Conflict` or `Forbidden`."""
        refuse_scoped(caller, what=WHAT)
        async with self._database.transaction() as tx:
            row = _found(await teams.held_team(tx, team_id), team_id)
            if row.version != version:
                raise Stale("The team was changed since you read it.", next_step="Read it again.")
            if await teams.name_is_taken(tx.session, text.name, but=team_id):
                raise _taken(row)
            row.name, row.contacts = text.name, list(text.contacts)
            row.deputy_id, row.deputy_contact = text.deputy_team, text.deputy_contact
            row.version += 1
            await _check_deputy(tx, row)
        log.info("team.changed", team=team_id, by=caller.id)
        return await self.get(team_id, caller=caller)

    async def delete(
        self, team_id: str, *, reassign_to: str | None, caller: Principal, now: datetime
    ) -> None:
        """Delete a team that nothing needs, or whose place another takes.

        Raises `NotFound`, `Forbidden`, `Conflict` where something needs it, or `Invalid` for the other.
        """
        refuse_scoped(caller, what=WHAT)
        async with self._database.transaction() as tx:
            row = _found(await teams.held_team(tx, team_id), team_id)
            if reassign_to is not None:
                await _hand_over(tx, team_id, to=reassign_to, now=now)
            else:
                _must_be_free(await teams.uses(tx.session, team_id), team_id)
            await tx.session.delete(row)
            if reassign_to is not None:
                also(reason=f"{reassign_to} takes its place.")
        log.info("team.deleted", team=team_id, to=reassign_to, by=caller.id)


async def _hand_over(tx: Transaction, team_id: str, *, to: str, now: datetime) -> None:
    if to == team_id or to not in await teams.kept_teams(tx, [to]):
        message = f"{to!r} is no other team."
        raise Invalid(
            message,
            next_step="List them with GET /v1/teams.",
            faults=[Fault(pointer="/query/reassign_to", message=message)],
        )
    await teams.reassign(tx, team_id, to=to)
    await groups.reevaluate_all(tx, now=now)  # rules may ask for owners


def _must_be_free(uses: Uses, team_id: str) -> None:
    if uses.are_none:
        return
    needs = (
        (uses.certificates, "owns {} certificates"),
        (uses.rules, "is named by {} assignment rules"),
        (uses.deputy_of, "stands in for {} teams"),
    )
    said = " and ".join(text.format(count) for count, text in needs if count)
    raise Conflict(
        f"The team {team_id} {said}.",
        next_step=f"Name the team that takes its place: DELETE /v1/teams/{team_id}?reassign_to=…",
    )


async def _check_deputy(tx: Transaction, row: TeamRow) -> None:
    if row.deputy_id is None:
        return
    message = ""
    if row.deputy_id == row.id or is_circle(row.id, row.deputy_id, deputies=await teams.deputies(tx.session)):
        message = f"With {row.deputy_id} as deputy the team {row.id} would in the end stand in for itself."
    elif not await teams.kept_teams(tx, [row.deputy_id]):
        message = f"There is no team {row.deputy_id!r}."
    if message:
        raise Invalid(
            message,
            next_step="Name another team, or a contact.",
            faults=[Fault(pointer="/body/deputy", message=message)],
        )


def _id_of(name: str) -> str:
    if found := slug_of(name):
        return found
    message = f"No id can be made of the name {name!r}."
    raise Invalid(
        message, next_step="Name an id, as payments.", faults=[Fault(pointer="/body/id", message=message)]
    )


def _taken(row: TeamRow) -> Conflict:
    return Conflict(
        f"There is a team with the id {row.id!r} or the name {row.name!r} already.",
        next_step="Choose another id and name, or change that team.",
    )


def _found(row: TeamRow | None, team_id: str) -> TeamRow:
    if row is None:
        raise NotFound(f"There is no team {team_id}.", next_step="List them with GET /v1/teams.")
    return row
