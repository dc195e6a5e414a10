"""The routes of enrolments."""

from datetime import datetime
from typing import Annotated

from fastapi import Path
from pydantic import Field

from services.renewal import store
from services.renewal.actions.enrolments import Enrolments
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Body, Page, Paging, Routes, View, of_query

Reader = Annotated[Principal, requires("enrolments:read")]
Writer = Annotated[Principal, requires("enrolments:write")]
AllPages = Annotated[Paging, of_query(Paging)]
LineageId = Annotated[
    str, Path(min_length=1, max_length=100, examples=["01890a5d-ac96-774b-bcce-b302099a8057"])
]


class EnrolmentBody(Body):
    """How a lineage is to be renewed."""

    profile: str = Field(max_length=200, description="A profile's name.", examples=["web"])
    names: list[str] | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="Left out: those of the certificate that runs out.",
        examples=[["shop.example.com"]],
    )


class EnrolmentView(View):
    """A lineage that is renewed by itself."""

    lineage_id: str
    profile: str
    names: list[str] | None
    created_at: datetime
    created_by: str
    updated_at: datetime


def enrolment_routes(enrolments: Enrolments, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/enrolments")

    @routes.put("/{lineage_id}", summary="Have a lineage renewed by itself, or change how")
    async def enrol_lineage(caller: Writer, lineage_id: LineageId, body: EnrolmentBody) -> EnrolmentView:
        row, profile = await enrolments.enrol(
            lineage_id, profile=body.profile, names=body.names, caller=caller, now=clock()
        )
        return shown(row, profile)

    @routes.get("", summary="List enrolments")
    async def list_enrolments(caller: Reader, paging: AllPages) -> Page[EnrolmentView]:
        after = paging.after[0] if paging.after else None
        found = await enrolments.page(after=after, limit=paging.limit, caller=caller)
        return paging.page(
            [shown(row, profile) for row, profile in found], key=lambda view: [view.lineage_id]
        )

    @routes.get("/{lineage_id}", summary="Show an enrolment")
    async def get_enrolment(caller: Reader, lineage_id: LineageId) -> EnrolmentView:
        row, profile = await enrolments.get(lineage_id, caller=caller)
        return shown(row, profile)

    @routes.delete("/{lineage_id}", summary="Renew a lineage by itself no more", status_code=204)
    async def withdraw_enrolment(caller: Writer, lineage_id: LineageId) -> None:
        await enrolments.withdraw(lineage_id, caller=caller, now=clock())

    return routes


def shown(row: store.Enrolment, profile: str) -> EnrolmentView:
    """Show an enrolment."""
    return EnrolmentView(
        lineage_id=row.lineage_id,
        profile=profile,
        names=row.names,
        created_at=row.created_at,
        created_by=row.created_by,
        updated_at=row.updated_at,
    )
