"""The routes of schedules: when each enrolled lineage is renewed, and why then."""

from datetime import datetime
from typing import Annotated

from fastapi import Path, Query, Response
from pydantic import Field

from services.renewal import store
from services.renewal.actions.schedules import Schedules
from services.renewal.api.orders import OrderView
from services.renewal.domain.schedule import Reason
from shared.access import Principal, requires
from shared.clock import Clock, Moment
from shared.errors import Invalid
from shared.http import Page, Paging, Routes, View, instant_in, of_query

Reader = Annotated[Principal, requires("enrolments:read")]
Orderer = Annotated[Principal, requires("orders:write")]
AllPages = Annotated[Paging, of_query(Paging)]
LineageId = Annotated[
    str, Path(min_length=1, max_length=100, examples=["01890a5d-ac96-774b-bcce-b302099a8057"])
]


class RenewalWindowView(View):
    """When the authority would have it renewed (RFC 9773)."""

    start: datetime
    end: datetime
    explanation_url: str | None = Field(description="Where the authority says why, where it does.")


class ScheduleView(View):
    """When a lineage is renewed."""

    lineage_id: str
    fingerprint: str | None = Field(description="The certificate to be renewed; empty while it is not known.")
    names: list[str] | None
    issuer: str | None
    not_before: datetime | None
    not_after: datetime | None
    renew_at: datetime | None = Field(description="Empty while the certificate is not known.")
    reason: Reason = Field(description="Why then.")
    because: str | None = Field(description="What made it due, where something did.")
    window: RenewalWindowView | None
    looks_at: datetime | None = Field(description="When the authority is asked for its window again.")
    ordered_at: datetime | None = Field(description="When its renewal was ordered.")
    updated_at: datetime


def schedule_routes(schedules: Schedules, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/schedules")

    @routes.get("", summary="List when enrolled lineages are renewed, the first due first")
    async def list_renewals(
        caller: Reader,
        paging: AllPages,
        reason: Reason | None = None,
        due_before: Annotated[Moment | None, Query(description="Only what is renewed before this.")] = None,
    ) -> Page[ScheduleView]:
        if due_before is not None and due_before.tzinfo is None:
            raise Invalid("`due_before` has no time zone.", next_step="Write it as 2026-03-03T12:00:00Z.")
        after = paging.after_parts(2)
        rows = await schedules.page(
            after=(instant_in(after[0]), after[1]) if after else None,
            limit=paging.limit,
            caller=caller,
            reason=reason,
            due_before=due_before,
        )
        keys = {row.lineage_id: [row.renew_at.isoformat(), row.lineage_id] for row in rows}
        return paging.page([_shown(row) for row in rows], key=lambda view: keys[view.lineage_id])

    @routes.get("/{lineage_id}", summary="Show when a lineage is renewed, and why then")
    async def get_renewal(caller: Reader, lineage_id: LineageId) -> ScheduleView:
        return _shown(await schedules.get(lineage_id, caller=caller))

    @routes.post(
        "/{lineage_id}/renew-now",
        summary="Renew a lineage now; where it has an open order, that is the answer",
        status_code=202,
    )
    async def renew_now(caller: Orderer, lineage_id: LineageId, response: Response) -> OrderView:
        order = await schedules.renew_now(lineage_id, caller=caller, now=clock())
        response.headers["Location"] = f"/renewal/v1/orders/{order.id}"
        return OrderView.model_validate(order)

    return routes


def _shown(row: store.Schedule) -> ScheduleView:
    window = None
    if row.ari_start is not None and row.ari_end is not None:
        window = RenewalWindowView(start=row.ari_start, end=row.ari_end, explanation_url=row.ari_explanation)
    return ScheduleView(
        lineage_id=row.lineage_id,
        fingerprint=row.fingerprint,
        names=row.names,
        issuer=row.issuer,
        not_before=row.not_before,
        not_after=row.not_after,
        renew_at=row.renew_at if row.renew_at != store.NEVER else None,
        reason=Reason(row.reason),
        because=row.because,
        window=window,
        looks_at=row.look_at,
        ordered_at=row.ordered_at,
        updated_at=row.updated_at,
    )
