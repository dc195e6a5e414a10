"""The routes of policies: read, written, tried, switched on and off."""

from datetime import datetime
from typing import Annotated

from fastapi import Header, Request, Response
from pydantic import Field

from services.inventory.actions.policies import Policies
from services.inventory.actions.previews import Preview, Previews
from services.inventory.domain.assessment.facts import Result
from services.inventory.domain.assessment.policies import Document, Slug
from services.inventory.store.assessment_tables import PolicyRow
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Body, Page, Paging, Routes, View, check_if_match, etag, of_query
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("policies:read")]
Writer = Annotated[Principal, requires("policies:write", everything=True)]
WholeReader = Annotated[Principal, requires("policies:read", everything=True)]
IfMatch = Annotated[str | None, Header(alias="If-Match", description="The `ETag` you have read.")]


class PolicyBody(Document):
    """A policy to be made."""

    id: Slug = Field(examples=["house-rules"])


class PreviewBody(Body):
    """What is to be tried."""

    draft: Document | None = Field(None, description="Empty: the policy as it is.")


class PolicyView(View):
    """A policy."""

    id: str = Field(examples=["mozilla-6.0-intermediate"])
    title: str
    is_builtin: bool
    is_enabled: bool
    version: int
    document: Document
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str


class ExampleView(View):
    """A place that would newly fail."""

    place_id: str
    place_key: str
    fingerprint: str
    rules: list[str] = Field(description="What it would break.")
    evidence: list[str]


class PolicyPreviewView(View):
    """What would come of a policy; nothing is kept of it and nobody is told."""

    judged: int
    is_complete: bool = Field(
        description="Not where there are more than 200,000 places: then of the first of them."
    )
    passing: int
    failing: int
    unknown: int
    newly_failing: int = Field(description="Where no policy that is on fails now.")
    newly_passing: int = Field(description="Where this policy, as it is on now, fails.")
    by_rule: dict[str, int] = Field(description="How many places break each rule.")
    examples: list[ExampleView] = Field(description="Of those that would newly fail, at most 20.")


def policy_routes(policies: Policies, previews: Previews, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/policies")
    _add_reading(routes, policies)
    _add_switching(routes, policies, previews, clock=clock)

    @routes.post("", status_code=201, summary="Make a policy, which is off at first")
    async def create_policy(
        caller: Writer, body: PolicyBody, request: Request, key: IdempotencyKey = None
    ) -> PolicyView:
        async def create() -> PolicyView:
            document = Document.model_validate(body.model_dump(exclude={"id"}))
            return _view(await policies.create(body.id, document, caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=PolicyView, create=create)

    @routes.put("/{policy_id}", summary="Let an own policy say something else")
    async def replace_policy(
        caller: Writer, policy_id: str, body: Document, response: Response, if_match: IfMatch = None
    ) -> PolicyView:
        present = await policies.get(policy_id)
        check_if_match(if_match, version=present.version)
        row = await policies.replace(policy_id, body, expected=present.version, caller=caller, now=clock())
        return _shown(row, response)

    return routes


def _add_reading(routes: Routes, policies: Policies) -> None:
    @routes.get("", summary="List policies")
    async def list_policies(_caller: Reader, paging: Annotated[Paging, of_query(Paging)]) -> Page[PolicyView]:
        rows = await policies.page(after=paging.after[0] if paging.after else None, limit=paging.limit)
        return paging.page([_view(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{policy_id}", summary="Show a policy")
    async def get_policy(_caller: Reader, policy_id: str, response: Response) -> PolicyView:
        return _shown(await policies.get(policy_id), response)


def _add_switching(routes: Routes, policies: Policies, previews: Previews, *, clock: Clock) -> None:
    @routes.post("/{policy_id}/preview", summary="Show what a policy, or a draft of it, would change")
    async def preview_policy(
        _caller: WholeReader, policy_id: str, body: PreviewBody | None = None
    ) -> PolicyPreviewView:
        draft = body.draft if body is not None else None
        return _preview(await previews.preview(policy_id, draft, now=clock()))

    @routes.post(
        "/{policy_id}/enable",
        summary="Switch a policy on: every place is judged by it, and who breaks it is told",
    )
    async def enable_policy(caller: Writer, policy_id: str, response: Response) -> PolicyView:
        return _shown(await policies.switch(policy_id, is_on=True, caller=caller, now=clock()), response)

    @routes.post("/{policy_id}/disable", summary="Switch a policy off: what was told of it is over")
    async def disable_policy(caller: Writer, policy_id: str, response: Response) -> PolicyView:
        return _shown(await policies.switch(policy_id, is_on=False, caller=caller, now=clock()), response)


def _view(row: PolicyRow) -> PolicyView:
    return PolicyView.model_validate(row)


def _shown(row: PolicyRow, response: Response) -> PolicyView:
    response.headers["ETag"] = etag(row.version)
    return _view(row)


def _preview(found: Preview) -> PolicyPreviewView:
    return PolicyPreviewView(
        judged=found.judged,
        is_complete=found.is_complete,
        passing=found.results[Result.PASS],
        failing=found.results[Result.FAIL],
        unknown=found.results[Result.UNKNOWN],
        newly_failing=found.newly_failing,
        newly_passing=found.newly_passing,
        by_rule=dict(found.by_rule),
        examples=[
            ExampleView(
                place_id=each.place_id,
                place_key=found.places[each.place_id].key,
                fingerprint=each.fingerprint or "",
                rules=[outcome.rule.id for outcome in verdict.failed],
                evidence=[outcome.evidence for outcome in verdict.failed],
            )
            for each, verdict in found.examples
        ],
    )
