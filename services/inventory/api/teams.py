"""The routes of teams."""

from datetime import datetime
from typing import Annotated

from fastapi import Header, Query, Request, Response
from pydantic import Field, model_validator

from services.inventory.actions.teams import OwningTeam, Teams, TeamText
from services.inventory.domain.slugs import SLUG
from services.inventory.domain.teams import ContactKind
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Body, Page, Paging, Routes, View, check_if_match, etag, of_query
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("teams:read")]
Writer = Annotated[Principal, requires("teams:write", everything=True)]
AllPages = Annotated[Paging, of_query(Paging)]
IfMatch = Annotated[str | None, Header(alias="If-Match", description="The `ETag` you have read.")]
Slug = Annotated[str, Field(min_length=1, max_length=100, pattern=SLUG)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S", examples=["Payments"])]


class ContactBody(Body):
    """A way to reach a team."""

    kind: ContactKind = Field(examples=["email"])
    value: str = Field(min_length=1, max_length=300, pattern=r"\S", examples=["payments@example.com"])


class DeputyBody(Body):
    """Who stands in: another team, or somebody to be reached; one of the two."""

    team: Slug | None = Field(None, examples=["platform"])
    contact: ContactBody | None = Field(None, examples=[None])

    @model_validator(mode="after")
    def _is_one(self) -> "DeputyBody":
        if (self.team is None) == (self.contact is None):
            msg = "name either a team or a contact"
            raise ValueError(msg)
        return self


Contacts = Annotated[
    list[ContactBody], Field(max_length=20, description="The one to be asked first comes first.")
]


class TeamBody(Body):
    """A team to be made."""

    id: Slug | None = Field(None, description="Left out: made of the name.", examples=["payments"])
    name: Name
    contacts: Contacts = Field([])
    deputy: DeputyBody | None = None


class TeamPatch(Body):
    """What is to be another; what is left out stays."""

    name: Name = ""
    contacts: Contacts = Field([])
    deputy: DeputyBody | None = None


class ContactView(View):
    """A way to reach a team."""

    kind: ContactKind
    value: str


class DeputyView(View):
    """Who stands in."""

    team: str | None
    contact: ContactView | None


class TeamView(View):
    """A team."""

    id: str = Field(examples=["payments"])
    name: str
    contacts: list[ContactView]
    deputy: DeputyView | None
    owns: int = Field(description="Certificates.", examples=[17])
    version: int
    created_at: datetime
    created_by: str


def team_routes(teams: Teams, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/teams")

    @routes.post("", status_code=201, summary="Make a team")
    async def create_team(
        caller: Writer, body: TeamBody, request: Request, key: IdempotencyKey = None
    ) -> TeamView:
        async def create() -> TeamView:
            return _shown(await teams.create(body.id, _text(body), caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=TeamView, create=create)

    @routes.get("", summary="List teams")
    async def list_teams(caller: Reader, paging: AllPages) -> Page[TeamView]:
        after = next(iter(paging.after or ()), None)
        rows = await teams.page(after=after, limit=paging.limit, caller=caller)
        return paging.page([_shown(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{team_id}", summary="Show a team")
    async def get_team(caller: Reader, team_id: str, response: Response) -> TeamView:
        found = await teams.get(team_id, caller=caller)
        response.headers["ETag"] = etag(found.row.version)
        return _shown(found)

    @routes.patch("/{team_id}", summary="Change a team")
    async def change_team(
        caller: Writer, team_id: str, body: TeamPatch, response: Response, if_match: IfMatch = None
    ) -> TeamView:
        present = _shown(await teams.get(team_id, caller=caller))
        check_if_match(if_match, version=present.version)
        # What is built on what was just read is only kept while that still is the newest.
        merged = {**_kept(present), **body.model_dump(exclude_unset=True)}
        text = _text(TeamBody.model_validate(merged))
        found = await teams.replace(team_id, text, version=present.version, caller=caller)
        response.headers["ETag"] = etag(found.row.version)
        return _shown(found)

    @routes.delete(
        "/{team_id}",
        status_code=204,
        summary="Delete a team; where something needs it, name the team that takes its place",
    )
    async def delete_team(
        caller: Writer, team_id: str, reassign_to: Annotated[str | None, Query(max_length=100)] = None
    ) -> None:
        await teams.delete(team_id, reassign_to=reassign_to, caller=caller, now=clock())

    return routes


def _text(body: TeamBody) -> TeamText:
    deputy = body.deputy
    contact = deputy.contact if deputy is not None else None
    return TeamText(
        name=body.name.strip(),
        contacts=[each.model_dump(mode="json") for each in body.contacts],
        deputy_team=deputy.team if deputy is not None else None,
        deputy_contact=contact.model_dump(mode="json") if contact is not None else None,
    )


def _kept(present: TeamView) -> dict[str, object]:
    return present.model_dump(include={"name", "contacts", "deputy"})


def _shown(found: OwningTeam) -> TeamView:
    row = found.row
    has_deputy = row.deputy_id is not None or row.deputy_contact is not None
    deputy = {"team": row.deputy_id, "contact": row.deputy_contact} if has_deputy else None
    return TeamView.model_validate({**row.model_dump(), "deputy": deputy, "owns": found.owns})
