"""The routes of lineages and their timelines."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from services.inventory.actions.reading import Reading
from services.inventory.api.certificates import CertificateView, shown_all
from services.inventory.domain.timeline import Happening
from shared.access import Principal, requires
from shared.http import Page, Paging, Routes, View, instant_in, of_query

Reader = Annotated[Principal, requires("lineages:read")]
AllPages = Annotated[Paging, of_query(Paging)]


class LineageView(View):
    """The chain of renewals of one thing."""

    id: str
    title: str = Field(examples=["shop.example.com"])
    created_at: datetime
    is_managed: bool = Field(False, description="Whether renewal renews it by itself.")


class LineageReportView(LineageView):
    """A lineage and its certificates, the one that is valid longest first."""

    certificates: list[CertificateView]


class TimelineView(View):
    """Something that happened."""

    id: str
    at: datetime
    kind: Happening
    text: str = Field(examples=["Found at tls://192.0.2.10:443/shop.example.com."])
    fingerprint: str | None
    place_key: str | None
    event_id: str | None


def lineage_routes(reading: Reading) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/lineages")

    @routes.get("", summary="List lineages")
    async def list_lineages(caller: Reader, paging: AllPages) -> Page[LineageView]:
        rows = await reading.lineages(
            scope=caller.scope, after=paging.after[0] if paging.after else None, limit=paging.limit
        )
        return paging.page([LineageView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{lineage_id}", summary="Show a lineage and its certificates")
    async def get_lineage(caller: Reader, lineage_id: str) -> LineageReportView:
        row, certificates = await reading.lineage(lineage_id, scope=caller.scope)
        return LineageReportView(
            **LineageView.model_validate(row).model_dump(),
            certificates=await shown_all(reading, certificates, caller=caller),
        )

    @routes.get("/{lineage_id}/timeline", summary="Tell what happened to a lineage, the first first")
    async def get_timeline(caller: Reader, lineage_id: str, paging: AllPages) -> Page[TimelineView]:
        rows = await reading.timeline(
            lineage_id, scope=caller.scope, after=_after(paging), limit=paging.limit
        )
        views = [TimelineView.model_validate(row) for row in rows]
        return paging.page(views, key=lambda view: [view.at.isoformat(), view.id])

    return routes


def _after(paging: Paging) -> tuple[datetime, str] | None:
    after = paging.after_parts(2)
    return None if after is None else (instant_in(after[0]), after[1])
