"""The routes of assignment rules."""

from datetime import datetime
from typing import Annotated

from fastapi import Header, Request, Response
from pydantic import Field

from services.inventory.actions.assignments import Assignments, RuleText
from services.inventory.actions.edits import Edits
from services.inventory.api.edits import EditView, tried
from services.inventory.store.organised import AssignmentRule
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Body, Page, Routes, View, check_if_match, etag
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("assignment-rules:read", everything=True)]
Writer = Annotated[Principal, requires("assignment-rules:write", everything=True)]
IfMatch = Annotated[str | None, Header(alias="If-Match", description="The `ETag` you have read.")]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S", examples=["the shop is payments'"])]
RuleQuery = Annotated[str, Field(min_length=1, max_length=4000, examples=["name under shop.example.com"])]
Named = Annotated[str, Field(min_length=1, max_length=100)]
Groups = Annotated[list[Named], Field(max_length=100, description="Groups by hand.", examples=[["web"]])]
Tags = Annotated[list[Named], Field(max_length=100, examples=[["env:prod"]])]
Overrides = Annotated[
    bool, Field(description="Whether its owner takes the place of one that a person has set.")
]
Position = Annotated[
    int | None, Field(ge=0, le=1_000_000, description="Lower ones are asked first; left out: last.")
]


class AssignmentRuleBody(Body):
    """A rule to be made."""

    name: Name
    query: RuleQuery
    owner: Named | None = Field(None, description="A team's id.", examples=["payments"])
    add_groups: Groups = Field([])
    add_tags: Tags = Field([])
    overrides_people: Overrides = False
    is_enabled: bool = True
    position: Position = None


class AssignmentRulePatch(Body):
    """What is to be another; what is left out stays."""

    name: Name = ""
    query: RuleQuery = ""
    owner: Named | None = None
    add_groups: Groups = Field([])
    add_tags: Tags = Field([])
    overrides_people: Overrides = False
    is_enabled: bool = True
    position: Position = None


class AssignmentRuleView(View):
    """An assignment rule."""

    id: str
    position: int
    name: str
    query: str
    owner: str | None
    add_groups: list[str]
    add_tags: list[str]
    overrides_people: bool
    is_enabled: bool
    version: int
    created_at: datetime
    created_by: str


class ApplyBody(Body):
    """How the rules are to be applied."""

    dry_run: bool = Field(False, description="Change nothing, and say what would be.", examples=[True])


def assignment_routes(assignments: Assignments, edits: Edits, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/assignment-rules")

    @routes.post("", status_code=201, summary="Make an assignment rule")
    async def create_assignment_rule(
        caller: Writer, body: AssignmentRuleBody, request: Request, key: IdempotencyKey = None
    ) -> AssignmentRuleView:
        async def create() -> AssignmentRuleView:
            return _shown(await assignments.create(_text(body), caller=caller, now=clock()))

        return await once.run(
            request, key=key, caller=caller, body=body, view=AssignmentRuleView, create=create
        )

    @routes.post("/apply", summary="Apply the rules to all that is known, or say what that would do")
    async def apply_assignment_rules(
        caller: Writer, body: ApplyBody, request: Request, key: IdempotencyKey = None
    ) -> EditView:
        async def create() -> EditView:
            if body.dry_run:
                return tried(await edits.try_rules(caller=caller, now=clock()))
            return EditView.model_validate(await edits.apply_rules(caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=EditView, create=create)

    @routes.get("", summary="List all assignment rules, in the order in which they are asked")
    async def list_assignment_rules(caller: Reader) -> Page[AssignmentRuleView]:
        rows = await assignments.all(caller=caller)
        return Page(items=[_shown(row) for row in rows], next_cursor=None)

    @routes.get("/{rule_id}", summary="Show an assignment rule")
    async def get_assignment_rule(caller: Reader, rule_id: str, response: Response) -> AssignmentRuleView:
        row = await assignments.get(rule_id, caller=caller)
        response.headers["ETag"] = etag(row.version)
        return _shown(row)

    @routes.patch("/{rule_id}", summary="Change an assignment rule")
    async def change_assignment_rule(
        caller: Writer,
        rule_id: str,
        body: AssignmentRulePatch,
        response: Response,
        if_match: IfMatch = None,
    ) -> AssignmentRuleView:
        present = _shown(await assignments.get(rule_id, caller=caller))
        check_if_match(if_match, version=present.version)
        # What is built on what was just read is only kept while that still is the newest.
        kept = present.model_dump(include=set(AssignmentRuleBody.model_fields))
        text = _text(AssignmentRuleBody.model_validate({**kept, **body.model_dump(exclude_unset=True)}))
        row = await assignments.replace(rule_id, text, version=present.version, caller=caller)
        response.headers["ETag"] = etag(row.version)
        return _shown(row)

    @routes.delete("/{rule_id}", status_code=204, summary="Delete an assignment rule; what it said stays")
    async def delete_assignment_rule(caller: Writer, rule_id: str) -> None:
        await assignments.delete(rule_id, caller=caller)

    return routes


def _text(body: AssignmentRuleBody) -> RuleText:
    return RuleText(
        name=body.name.strip(),
        query=body.query,
        owner=body.owner,
        add_groups=body.add_groups,
        add_tags=body.add_tags,
        is_overriding=body.overrides_people,
        is_enabled=body.is_enabled,
        position=body.position,
    )


def _shown(row: AssignmentRule) -> AssignmentRuleView:
    kept = {**row.model_dump(), "owner": row.owner_id, "overrides_people": row.is_overriding}
    return AssignmentRuleView.model_validate(kept)
