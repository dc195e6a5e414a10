"""The routes of approval rules: who has to agree before something is put in place on a target."""

from datetime import datetime
from typing import Annotated

from fastapi import Header, Request, Response
from pydantic import Field

from services.provisioner.actions.approval_rules import ApprovalRules, NewRule, RuleChange
from services.provisioner.actions.scopes import Scope
from services.provisioner.api.policies import Name, check_roles
from services.provisioner.api.windows import Group, TargetId
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Body, Page, Paging, Routes, View, etag, of_query
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("approval-rules:read")]
Writer = Annotated[Principal, requires("approval-rules:write")]
AllPages = Annotated[Paging, of_query(Paging)]
IfMatch = Annotated[str | None, Header()]
_GROUPS, _ROLES = "In one of these; none: in any.", "With one of these; none: with any."


class RuleBody(Body):
    """What is put in place on these targets waits until enough people have agreed, certificate by certificate."""

    name: str = Field(min_length=1, max_length=200, examples=["load balancers"])
    target_id: TargetId = None
    group: Group = None
    approvals_needed: int = Field(
        1,
        ge=1,
        le=10,
        description="How many people, none of whom has a part in it, must agree to each certificate.",
    )
    approver_groups: list[Name] = Field([], max_length=50, description=_GROUPS)
    approver_roles: list[Name] = Field([], max_length=50, description=_ROLES)


class RuleChangeBody(Body):
    """What is to be changed; what is left out stays, as does for which targets it is."""

    name: str | None = Field(None, min_length=1, max_length=200)
    approvals_needed: int | None = Field(None, ge=1, le=10)
    approver_groups: list[Name] | None = Field(None, max_length=50, description=_GROUPS)
    approver_roles: list[Name] | None = Field(None, max_length=50, description=_ROLES)


class RuleView(View):
    """Who has to agree before something is put in place on a target."""

    id: str
    name: str
    target_id: str | None
    group: str | None
    approvals_needed: int
    approver_groups: list[str]
    approver_roles: list[str]
    version: int = Field(description="Send it back as `If-Match` with a change.")
    created_at: datetime
    updated_at: datetime
    updated_by: str


def approval_rule_routes(rules: ApprovalRules, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/approval-rules")

    @routes.post("", summary="Have what is put in place on targets approved first", status_code=201)
    async def create_rule(
        caller: Writer, request: Request, body: RuleBody, key: IdempotencyKey = None
    ) -> RuleView:
        check_roles(body.approver_roles)
        scope = Scope(target_id=body.target_id, group=body.group)
        new = NewRule(scope=scope, **body.model_dump(exclude={"target_id", "group"}))

        async def create() -> RuleView:
            return RuleView.model_validate(await rules.create(new, caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=RuleView, create=create)

    @routes.get("", summary="List approval rules")
    async def list_rules(caller: Reader, paging: AllPages) -> Page[RuleView]:
        after = paging.after[0] if paging.after else None
        rows = await rules.page(after=after, limit=paging.limit, caller=caller)
        return paging.page([RuleView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{rule_id}", summary="Show an approval rule")
    async def get_rule(caller: Reader, rule_id: str, response: Response) -> RuleView:
        row = await rules.get(rule_id, caller=caller)
        response.headers["ETag"] = etag(row.version)
        return RuleView.model_validate(row)

    @routes.patch("/{rule_id}", summary="Change an approval rule; what waits is asked for anew")
    async def change_rule(
        caller: Writer, rule_id: str, body: RuleChangeBody, response: Response, if_match: IfMatch = None
    ) -> RuleView:
        check_roles(body.approver_roles or [])
        change = RuleChange(**body.model_dump())
        row = await rules.change(rule_id, change, if_match=if_match, caller=caller, now=clock())
        response.headers["ETag"] = etag(row.version)
        return RuleView.model_validate(row)

    @routes.delete("/{rule_id}", summary="Take an approval rule back; what waits goes on", status_code=204)
    async def delete_rule(caller: Writer, rule_id: str) -> None:
        await rules.delete(rule_id, caller=caller, now=clock())

    return routes
