"""The routes of revocations."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import Query, Request
from pydantic import Field, model_validator

from services.renewal.actions.revocations import NewRevocation, Revocations
from services.renewal.domain.revocations import RevocationState, Start
from shared.access import Principal, requires
from shared.clock import Clock
from shared.events.renewal import RevocationReason
from shared.http import Body, Page, Paging, Routes, View, of_query
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("revocations:read")]
Writer = Annotated[Principal, requires("revocations:write")]
AllPages = Annotated[Paging, of_query(Paging)]


class RevocationBody(Body):
    """A certificate that is to be taken back: named by itself, or by the order that it was obtained by."""

    fingerprint: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the DER, in lower-case hexadecimal."
    )
    order_id: str | None = Field(None, min_length=1, max_length=36)
    reason: RevocationReason = Field(description="As RFC 5280 §5.3.1 names it.", examples=["superseded"])
    when: Start = Field(
        Start.AFTER_REPLACEMENT,
        description="Once another was seen in every place of it, or `now`: clients may refuse it from then on.",
    )
    why: str = Field(min_length=3, max_length=2000, examples=["The host was broken into on Monday."])

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.fingerprint is None) is (self.order_id is None):
            msg = "name either the fingerprint or the order_id"
            raise ValueError(msg)
        return self


class RevocationView(View):
    """A revocation on its way."""

    id: str
    fingerprint: str
    lineage_id: str
    order_id: str
    authority: str
    names: list[str]
    reason: RevocationReason
    explanation: str
    starts: Start
    state: RevocationState
    attempts: int
    last_error: str | None
    next_step: str | None = Field(description="What a person can do about it.")
    next_attempt_at: datetime | None
    revoked_at: datetime | None = Field(description="When the authority has taken it.")
    confirmed_at: datetime | None = Field(
        description="When its CRL or its OCSP responder was seen to say so."
    )
    confirmed_by: str | None
    created_at: datetime
    created_by: str


class RevocationStepView(View):
    """One thing that was done, or that failed."""

    at: datetime
    step: str = Field(examples=["revoked"])
    text: str


class RevocationReport(RevocationView):
    """A revocation with its steps, oldest first."""

    steps: list[RevocationStepView]


def revocation_routes(revocations: Revocations, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/revocations")

    @routes.post("", summary="Have a certificate revoked", status_code=202)
    async def create_revocation(
        caller: Writer, request: Request, body: RevocationBody, key: IdempotencyKey = None
    ) -> RevocationView:
        async def create() -> RevocationView:
            new = NewRevocation(
                fingerprint=body.fingerprint,
                order_id=body.order_id,
                reason=body.reason,
                start=body.when,
                explanation=body.why,
            )
            return RevocationView.model_validate(await revocations.create(new, caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=RevocationView, create=create)

    @routes.get("", summary="List revocations")
    async def list_revocations(
        caller: Reader,
        paging: AllPages,
        fingerprint: Annotated[str | None, Query(max_length=64)] = None,
        state: RevocationState | None = None,
    ) -> Page[RevocationView]:
        after = paging.after[0] if paging.after else None
        rows = await revocations.page(
            after=after, limit=paging.limit, caller=caller, fingerprint=fingerprint, state=state
        )
        return paging.page([RevocationView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{revocation_id}", summary="Show a revocation and its steps")
    async def get_revocation(caller: Reader, revocation_id: str) -> RevocationReport:
        row, steps = await revocations.get(revocation_id, caller=caller)
        shown = RevocationView.model_validate(row).model_dump()
        return RevocationReport(**shown, steps=[RevocationStepView.model_validate(each) for each in steps])

    @routes.post("/{revocation_id}/retry", summary="Try again, or look again, at once", status_code=202)
    async def retry_revocation(caller: Writer, revocation_id: str) -> RevocationView:
        row = await revocations.retry(revocation_id, caller=caller, now=clock())
        return RevocationView.model_validate(row)

    return routes
