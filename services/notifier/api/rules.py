"""Routes on rules: of which problems, from which severity up, to which channels, and by which plan."""

from datetime import datetime
from typing import Annotated

from fastapi import Header, Request, Response
from pydantic import Field

from services.notifier.actions.rules import Rules, RuleText
from services.notifier.domain.alerts import Problem
from services.notifier.domain.plans import Plan
from shared.access import Principal, requires
from shared.clock import Clock
from shared.events.notifier import Severity
from shared.groups import Groups
from shared.http import Body, Page, Paging, Routes, View, check_if_match, etag, of_query
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("rules:read")]
Writer = Annotated[Principal, requires("rules:write")]
IfMatch = Annotated[str | None, Header(alias="If-Match", description="The `ETag` you have read.")]

Name = Annotated[str, Field(min_length=1, max_length=200, examples=["outages to the operators"])]
ChannelIds = Annotated[
    list[str] | None, Field(max_length=1000, description="Ids; null: every enabled channel.", examples=[None])
]


PLAN = Field(
    default_factory=Plan,
    description="Of which lineages, at which thresholds, to which addresses, at what hours, and what if nobody answers.",
    examples=[
        {
            "thresholds": ["90d", "30d", "7d=critical"],
            "match": {"names": ["*.shop.example.test"]},
            "address": "owner",
            "escalation": [{"after": "PT4H", "address": "deputy"}],
            "hours": {"zone": "Europe/Berlin"},
        }
    ],
)


class RuleBody(Body):
    """A rule to be made."""

    name: Name
    min_severity: Severity = Field(Severity.WARNING, examples=["error"])
    problems: list[Problem] = Field([], description="Empty: all of them.", examples=[["expiring", "stale"]])
    channels: ChannelIds = None
    groups: Groups = Field(default=[])
    plan: Plan = PLAN


class RulePatch(Body):
    """What is to be another; what is left out stays."""

    name: Name = ""
    min_severity: Severity = Severity.WARNING
    problems: list[Problem] = Field([], examples=[["expiring"]])
    channels: ChannelIds = None
    groups: Groups = Field(default=[])
    plan: Plan = Field(
        default_factory=Plan, description="Replaced whole.", examples=[{"repeat_every": "P1D"}]
    )


class RuleView(View):
    """A rule."""

    id: str = Field(examples=["0191d7a2-8f4e-7c3b-9d5e-1f2a3b4c5d6e"])
    name: str
    min_severity: Severity
    problems: list[Problem]
    channels: list[str] | None
    groups: list[str] = Field(description="It is for alerts in one of them; without any, for all.")
    plan: Plan
    version: int
    created_at: datetime
    updated_at: datetime


def rule_routes(rules: Rules, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/rules")

    @routes.post("", status_code=201, summary="Make a rule")
    async def create_rule(
        caller: Writer, body: RuleBody, request: Request, key: IdempotencyKey = None
    ) -> RuleView:
        async def create() -> RuleView:
            return RuleView.model_validate(await rules.create(_text(body), caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=RuleView, create=create)

    @routes.get("", summary="List rules, newest first")
    async def list_rules(caller: Reader, paging: Annotated[Paging, of_query(Paging)]) -> Page[RuleView]:
        after = next(iter(paging.after or ()), None)
        rows = await rules.page(after=after, limit=paging.limit, caller=caller)
        return paging.page([RuleView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{rule_id}", summary="Show a rule")
    async def get_rule(caller: Reader, rule_id: str, response: Response) -> RuleView:
        row = await rules.get(rule_id, caller=caller)
        response.headers["ETag"] = etag(row.version)
        return RuleView.model_validate(row)

    @routes.patch("/{rule_id}", summary="Change a rule")
    async def change_rule(
        caller: Writer, rule_id: str, body: RulePatch, response: Response, if_match: IfMatch = None
    ) -> RuleView:
        present = RuleView.model_validate(await rules.get(rule_id, caller=caller))
        check_if_match(if_match, version=present.version)
        # What is built on what was just read is only kept while that still is the newest.
        text = _text(
            RuleBody.model_validate({**_kept(present), **body.model_dump(exclude_unset=True, mode="json")})
        )
        row = await rules.replace(rule_id, text=text, expected=present.version, caller=caller, now=clock())
        response.headers["ETag"] = etag(row.version)
        return RuleView.model_validate(row)

    @routes.delete("/{rule_id}", status_code=204, summary="Take a rule away")
    async def delete_rule(caller: Writer, rule_id: str) -> None:
        await rules.delete(rule_id, caller=caller)

    return routes


def _kept(present: RuleView) -> dict[str, object]:
    return present.model_dump(include=set(RuleBody.model_fields), mode="json")


def _text(body: RuleBody) -> RuleText:
    return RuleText(
        name=body.name,
        min_severity=body.min_severity,
        problems=body.problems,
        channels=body.channels,
        groups=body.groups,
        plan=body.plan,
    )
