"""The routes of exceptions: asked for by one, approved or refused by another."""

from datetime import datetime
from typing import Annotated

from fastapi import Header, Query, Request, Response
from pydantic import Field

from services.inventory.actions.exceptions import Exceptions, NewException
from services.inventory.domain.assessment.exceptions import ExceptionState, ScopeKind
from services.inventory.store.assessment_tables import ExceptionRow
from shared.access import Principal, requires
from shared.clock import Clock, Moment
from shared.http import Body, Page, Paging, Routes, View, check_if_match, etag, of_query
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("exceptions:read")]
Writer = Annotated[Principal, requires("exceptions:write")]
Approver = Annotated[Principal, requires("exceptions:approve")]
IfMatch = Annotated[str | None, Header(alias="If-Match", description="The `ETag` you have read.")]


class ScopeBody(Body):
    """For whom a broken rule is let pass."""

    kind: ScopeKind
    value: str = Field(
        min_length=1,
        max_length=2000,
        description="The id of a group or of a place, the fingerprint of a certificate, or a query.",
    )


class ExceptionBody(Body):
    """An exception that is asked for."""

    policy_id: str = Field(max_length=60, examples=["mozilla-6.0-intermediate"])
    rule_id: str = Field(max_length=60, examples=["versions"])
    scope: ScopeBody
    reason: str = Field(
        min_length=10, max_length=2000, examples=["The till terminals of 2014 speak TLS 1.0 only."]
    )
    ends_at: Moment = Field(description="At most 366 days ahead; afterwards the failure counts again.")


class ScopeView(View):
    """For whom a broken rule is let pass."""

    kind: ScopeKind
    value: str


class ExceptionView(View):
    """An exception; one that is approved holds until its end."""

    id: str
    policy_id: str
    rule_id: str
    scope: ScopeView
    reason: str
    ends_at: datetime
    state: ExceptionState
    requested_by: str
    requested_by_name: str
    requested_at: datetime
    decided_by: str | None
    decided_by_name: str | None
    decided_at: datetime | None
    version: int


def exception_routes(exceptions: Exceptions, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/exceptions")
    _add_deciding(routes, exceptions, clock=clock)

    @routes.post("", status_code=201, summary="Ask for an exception from a rule")
    async def request_exception(
        caller: Writer, body: ExceptionBody, request: Request, key: IdempotencyKey = None
    ) -> ExceptionView:
        async def create() -> ExceptionView:
            return _view(await exceptions.request(_new(body), caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=ExceptionView, create=create)

    @routes.get("", summary="List exceptions, newest first")
    async def list_exceptions(
        caller: Reader,
        paging: Annotated[Paging, of_query(Paging)],
        *,
        policy: Annotated[str | None, Query(max_length=60)] = None,
        state: ExceptionState | None = None,
    ) -> Page[ExceptionView]:
        after = paging.after[0] if paging.after else None
        rows = await exceptions.page(
            scope=caller.scope, policy=policy, state=state, after=after, limit=paging.limit
        )
        return paging.page([_view(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{exception_id}", summary="Show an exception")
    async def get_exception(caller: Reader, exception_id: str, response: Response) -> ExceptionView:
        return _shown(await exceptions.get(exception_id, scope=caller.scope), response)

    return routes


def _add_deciding(routes: Routes, exceptions: Exceptions, *, clock: Clock) -> None:
    async def decide(
        caller: Principal, exception_id: str, response: Response, if_match: str | None, *, is_approved: bool
    ) -> ExceptionView:
        present = await exceptions.get(exception_id, scope=caller.scope)
        check_if_match(if_match, version=present.version)
        row = await exceptions.decide(
            exception_id, is_approved=is_approved, expected=present.version, caller=caller, now=clock()
        )
        return _shown(row, response)

    @routes.post("/{exception_id}/approve", summary="Approve what somebody else has asked for")
    async def approve_exception(
        caller: Approver, exception_id: str, response: Response, if_match: IfMatch = None
    ) -> ExceptionView:
        return await decide(caller, exception_id, response, if_match, is_approved=True)

    @routes.post("/{exception_id}/refuse", summary="Refuse what somebody else has asked for")
    async def refuse_exception(
        caller: Approver, exception_id: str, response: Response, if_match: IfMatch = None
    ) -> ExceptionView:
        return await decide(caller, exception_id, response, if_match, is_approved=False)

    @routes.post("/{exception_id}/withdraw", summary="End an exception, or the wish for it, before its time")
    async def withdraw_exception(
        caller: Writer, exception_id: str, response: Response, if_match: IfMatch = None
    ) -> ExceptionView:
        present = await exceptions.get(exception_id, scope=caller.scope)
        check_if_match(if_match, version=present.version)
        row = await exceptions.withdraw(exception_id, expected=present.version, caller=caller, now=clock())
        return _shown(row, response)


def _new(body: ExceptionBody) -> NewException:
    return NewException(
        policy_id=body.policy_id,
        rule_id=body.rule_id,
        scope=body.scope.kind,
        value=body.scope.value,
        reason=body.reason,
        ends_at=body.ends_at,
    )


def _view(row: ExceptionRow) -> ExceptionView:
    scope = {"kind": row.scope, "value": row.scope_value}
    return ExceptionView.model_validate({**row.model_dump(exclude={"scope", "scope_value"}), "scope": scope})


def _shown(row: ExceptionRow, response: Response) -> ExceptionView:
    response.headers["ETag"] = etag(row.version)
    return _view(row)
