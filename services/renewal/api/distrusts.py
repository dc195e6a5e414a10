"""The routes of distrusts: an issuer that is not to be relied on any more."""

from datetime import datetime
from typing import Annotated

from fastapi import Request
from pydantic import Field

from services.renewal.actions.distrusts import Distrusts, NewDistrust
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Body, Page, Routes, View
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("distrusts:read", everything=True)]
Writer = Annotated[Principal, requires("distrusts:write", everything=True)]


class DistrustBody(Body):
    """Who is not trusted any more; exactly one of the three says who."""

    authority: str | None = Field(
        None, max_length=200, description="An authority's name.", examples=["letsencrypt"]
    )
    issuer: str | None = Field(
        None, max_length=1000, description="An issuer's name, as certificates show it.", examples=[None]
    )
    issuer_key: str | None = Field(
        None,
        pattern=r"^[0-9A-Fa-f]{64}$",
        description="SHA-256 of the issuer's public key (its SubjectPublicKeyInfo).",
        examples=[None],
    )
    reason: str = Field(min_length=1, max_length=1000, examples=["Its key is compromised."])


class DistrustView(View):
    """Somebody who is not trusted."""

    id: str
    authority_id: str | None
    issuer: str | None
    issuer_key: str | None
    reason: str
    created_at: datetime
    created_by: str


class DistrustReport(DistrustView):
    """Somebody who is not trusted any more, and what follows."""

    due: int = Field(
        description="Enrolled lineages that are renewed now because of it, as the budgets allow."
    )


def distrust_routes(distrusts: Distrusts, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/distrusts")

    @routes.post(
        "", summary="Trust an issuer no more: all that it has issued is renewed now", status_code=201
    )
    async def create_distrust(
        caller: Writer, request: Request, body: DistrustBody, key: IdempotencyKey = None
    ) -> DistrustReport:
        async def create() -> DistrustReport:
            new = NewDistrust(**{name: getattr(body, name) for name in DistrustBody.model_fields})
            row, due = await distrusts.create(new, caller=caller, now=clock())
            return DistrustReport(**DistrustView.model_validate(row).model_dump(), due=due)

        return await once.run(request, key=key, caller=caller, body=body, view=DistrustReport, create=create)

    @routes.get("", summary="List who is not trusted, newest first")
    async def list_distrusts(caller: Reader) -> Page[DistrustView]:
        rows = await distrusts.all(caller=caller)
        return Page[DistrustView](items=[DistrustView.model_validate(row) for row in rows], next_cursor=None)

    @routes.delete(
        "/{distrust_id}", summary="Trust it again; what is due because of it stays due", status_code=204
    )
    async def lift_distrust(caller: Writer, distrust_id: str) -> None:
        await distrusts.lift(distrust_id, caller=caller)

    return routes
