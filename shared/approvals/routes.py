"""The routes of approvals."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field

from shared.access import Principal, requires
from shared.approvals import ApprovalState, Verdict
from shared.approvals.actions import Approvals, Report, Word
from shared.clock import Clock
from shared.http import Body, Page, Paging, Routes, View, of_query

Reader = Annotated[Principal, requires("approvals:read")]
Approver = Annotated[Principal, requires("approvals:approve")]
Overrider = Annotated[Principal, requires("approvals:override")]
AllPages = Annotated[Paging, of_query(Paging)]
Reason = Annotated[str, Field(min_length=3, max_length=2000, examples=["CHG0042 was agreed on Monday"])]


class DecisionBody(Body):
    """What the caller decides, and on what."""

    verdict: Literal["grant", "refuse"]
    digest: str = Field(
        min_length=1,
        max_length=64,
        description="That of the approval as it was read: another one does not count.",
    )
    reason: Reason


class OverrideBody(Body):
    """Why it cannot wait."""

    reason: Reason


class ApprovalView(View):
    """Something that is done only when enough people have agreed to exactly this."""

    id: str
    kind: str
    subject_id: str = Field(description="Its id: of an order, a revocation, a rollout.")
    lineage_id: str
    state: ApprovalState
    document: dict[str, Any] = Field(description="Exactly what would be done.")
    digest: str = Field(description="SHA-256 of the document in canonical JSON (RFC 8785).")
    needed: int = Field(description="How many different people have to agree.")
    approver_groups: list[str] = Field(description="In one of these; where there are none, in any.")
    approver_roles: list[str] = Field(description="With one of these; where there are none, with any.")
    requesters: list[str] = Field(description="Who has a part in it; none of them approves it.")
    reason: str | None = Field(description="Why it came to its end.")
    reminders: int
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None


class DecisionView(View):
    """What somebody has said."""

    principal: str
    name: str
    verdict: Verdict
    reason: str
    digest: str
    means: str = Field(description="`api`, or by whom it was passed on.")
    is_counted: bool
    objection: str | None = Field(description="Why it did not count.")
    at: datetime


class ApprovalReport(ApprovalView):
    """An approval with all that was said, oldest first."""

    decisions: list[DecisionView]


def approval_routes(approvals: Approvals, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/approvals")

    @routes.get("", summary="List approvals, by default those that wait for the caller")
    async def list_approvals(
        caller: Reader,
        paging: AllPages,
        state: ApprovalState | None = None,
        show: Annotated[
            Literal["inbox", "all"],
            Query(description="`inbox` is what waits for the caller's own decision."),
        ] = "inbox",
    ) -> Page[ApprovalView]:
        after = paging.after[0] if paging.after else None
        rows = await approvals.page(
            after=after, limit=paging.limit, caller=caller, state=state, is_inbox=show == "inbox"
        )
        return paging.page([ApprovalView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{approval_id}", summary="Show exactly what would be done, and what was said")
    async def get_approval(caller: Reader, approval_id: str) -> ApprovalReport:
        return _shown(await approvals.get(approval_id, caller=caller))

    @routes.post("/{approval_id}/decisions", summary="Grant or refuse", status_code=201)
    async def decide_approval(caller: Approver, approval_id: str, body: DecisionBody) -> ApprovalReport:
        word = Word(verdict=Verdict(body.verdict), digest=body.digest, reason=body.reason)
        return _shown(await approvals.decide(approval_id, word, caller=caller, now=clock()))

    @routes.post(
        "/{approval_id}/override", summary="Do it without approval, in an emergency", status_code=201
    )
    async def override_approval(caller: Overrider, approval_id: str, body: OverrideBody) -> ApprovalReport:
        word = Word(verdict=Verdict.OVERRIDE, digest="", reason=body.reason)
        return _shown(await approvals.override(approval_id, word, caller=caller, now=clock()))

    return routes


def _shown(report: Report) -> ApprovalReport:
    shown = ApprovalView.model_validate(report.row).model_dump()
    said = [DecisionView.model_validate(each) for each in report.decisions]
    return ApprovalReport(**shown, decisions=said)
