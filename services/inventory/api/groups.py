"""The routes of groups and of who is in them."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Header, Path, Request, Response
from pydantic import Field

from services.inventory.actions.groups import CountedGroup, Groups, GroupText
from services.inventory.actions.reading import Reading
from services.inventory.api.certificates import CertificateView, shown_all
from services.inventory.domain.slugs import SLUG
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Body, Page, Paging, Routes, View, check_if_match, etag, of_query
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("groups:read")]
Writer = Annotated[Principal, requires("groups:write")]
Maker = Annotated[Principal, requires("groups:write", everything=True)]
CertificateReader = Annotated[Principal, requires("certificates:read")]
AllPages = Annotated[Paging, of_query(Paging)]
IfMatch = Annotated[str | None, Header(alias="If-Match", description="The `ETag` you have read.")]
Fingerprint = Annotated[str, Path(min_length=64, max_length=64, pattern=r"^[0-9A-Fa-f]{64}$")]
Slug = Annotated[str, Field(min_length=1, max_length=100, pattern=SLUG)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S", examples=["Web servers"])]
Rule = Annotated[
    str,
    Field(
        min_length=1,
        max_length=4000,
        description="A query; who matches it is in the group, as long as it is so.",
        examples=["name under shop.example.com and place.port = 443"],
    ),
]


class GroupBody(Body):
    """A group to be made: by its rule, or, without one, by hand."""

    id: Slug | None = Field(None, description="Left out: made of the name.", examples=["web"])
    name: Name
    description: str = Field("", max_length=2000)
    rule: Rule | None = None


class GroupPatch(Body):
    """What is to be another; what is left out stays."""

    name: Name = ""
    description: str = Field("", max_length=2000)
    rule: Rule | None = None


class RuleBody(Body):
    """A rule to look at."""

    rule: Rule


class GroupView(View):
    """A group."""

    id: str = Field(examples=["web"])
    name: str
    description: str
    kind: Literal["hand", "rule"]
    rule: str | None
    members: int = Field(description="Certificates in it.", examples=[240])
    is_settled: bool = Field(
        description="Whether all certificates were gone through since the rule was written."
    )
    evaluated_at: datetime | None = Field(description="When they last were.")
    version: int
    created_at: datetime
    created_by: str


class GroupPreviewView(View):
    """What a rule matches now."""

    matches: int = Field(examples=[240])
    is_by_the_clock: bool = Field(description="Whether that changes as time goes by, though nothing happens.")
    examples: list[CertificateView]


def group_routes(groups: Groups, reading: Reading, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/groups")

    @routes.post("", status_code=201, summary="Make a group")
    async def create_group(
        caller: Maker, body: GroupBody, request: Request, key: IdempotencyKey = None
    ) -> GroupView:
        async def create() -> GroupView:
            return _shown(await groups.create(body.id, _text(body), caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=GroupView, create=create)

    @routes.post("/preview", summary="Show what a rule matches, before it is one")
    async def preview_group(caller: CertificateReader, body: RuleBody) -> GroupPreviewView:
        found = await groups.preview(body.rule, caller=caller, now=clock())
        return GroupPreviewView(
            matches=found.matches,
            is_by_the_clock=found.is_by_the_clock,
            examples=await shown_all(reading, found.examples, caller=caller),
        )

    @routes.get("", summary="List groups")
    async def list_groups(caller: Reader, paging: AllPages) -> Page[GroupView]:
        after = next(iter(paging.after or ()), None)
        rows = await groups.page(after=after, limit=paging.limit, caller=caller)
        return paging.page([_shown(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{group_id}", summary="Show a group")
    async def get_group(caller: Reader, group_id: str, response: Response) -> GroupView:
        found = await groups.get(group_id, caller=caller)
        response.headers["ETag"] = etag(found.row.version)
        return _shown(found)

    @routes.patch("/{group_id}", summary="Change a group")
    async def change_group(
        caller: Maker, group_id: str, body: GroupPatch, response: Response, if_match: IfMatch = None
    ) -> GroupView:
        present = _shown(await groups.get(group_id, caller=caller))
        check_if_match(if_match, version=present.version)
        # What is built on what was just read is only kept while that still is the newest.
        kept = present.model_dump(include={"name", "description", "rule"})
        text = _text(GroupBody.model_validate({**kept, **body.model_dump(exclude_unset=True)}))
        found = await groups.replace(group_id, text, version=present.version, caller=caller, now=clock())
        response.headers["ETag"] = etag(found.row.version)
        return _shown(found)

    @routes.delete("/{group_id}", status_code=204, summary="Delete a group; certificates stay")
    async def delete_group(caller: Maker, group_id: str) -> None:
        await groups.delete(group_id, caller=caller)

    return routes


def member_routes(groups: Groups, reading: Reading) -> Routes:
    """Build the routes of who is in groups."""
    routes = Routes(prefix="/v1/groups")

    @routes.get("/{group_id}/members", summary="List the certificates of a group")
    async def list_group_members(
        caller: CertificateReader, group_id: str, paging: AllPages
    ) -> Page[CertificateView]:
        after = next(iter(paging.after or ()), None)
        rows = await groups.members(group_id, after=after, limit=paging.limit, caller=caller)
        return paging.page(await shown_all(reading, rows, caller=caller), key=lambda view: [view.fingerprint])

    @routes.put(
        "/{group_id}/members/{fingerprint}",
        status_code=204,
        summary="Put a certificate into a group by hand",
    )
    async def add_group_member(caller: Writer, group_id: str, fingerprint: Fingerprint) -> None:
        await groups.put(group_id, fingerprint.lower(), is_in=True, caller=caller)

    @routes.delete(
        "/{group_id}/members/{fingerprint}",
        status_code=204,
        summary="Take a certificate out of a group by hand",
    )
    async def remove_group_member(caller: Writer, group_id: str, fingerprint: Fingerprint) -> None:
        await groups.put(group_id, fingerprint.lower(), is_in=False, caller=caller)

    return routes


def _text(body: GroupBody) -> GroupText:
    return GroupText(name=body.name.strip(), description=body.description, rule=body.rule)


def _shown(found: CountedGroup) -> GroupView:
    row = found.row
    is_settled = row.rule is None or row.evaluated_at is not None
    return GroupView.model_validate({**row.model_dump(), "members": found.members, "is_settled": is_settled})
