"""The route of histories: where a certificate was, and when. That of a place is with the places."""

from datetime import date, datetime
from typing import Annotated

from fastapi import Query
from pydantic import Field

from services.inventory.actions.relations import Relations
from services.inventory.api.keys import Fingerprint, tidy
from services.inventory.api.places import PlaceView
from services.inventory.api.wanted import Moment
from services.inventory.domain.servings import period
from shared.access import Principal, requires
from shared.http import Page, Paging, Routes, View, instant_in, of_query

Reader = Annotated[Principal, requires("places:read")]
AllPages = Annotated[Paging, of_query(Paging)]


class StretchView(View):
    """A place that had a certificate, from when until when."""

    place: PlaceView
    since: datetime
    last_seen: datetime
    until: datetime | None = Field(description="When it was first seen otherwise; empty if it is so now.")


def history_routes(relations: Relations) -> Routes:
    """Build the route."""
    routes = Routes(prefix="/v1")

    @routes.get("/certificates/{fingerprint}/history", summary="List where a certificate was, and when")
    async def get_certificate_history(
        caller: Reader,
        fingerprint: Fingerprint,
        paging: AllPages,
        *,
        at: Annotated[Moment | None, Query(description="Only where it was at this instant.")] = None,
        on: Annotated[date | None, Query(description="Only where it was on this day, in UTC.")] = None,
    ) -> Page[StretchView]:
        rows = await relations.history(
            tidy(fingerprint),
            during=period(at=at, on=on),
            after=_after(paging),
            limit=paging.limit,
            scope=caller.scope,
        )
        views = [
            StretchView.model_validate({**vars(serving), "place": PlaceView.model_validate(place)})
            for place, serving in rows
        ]
        return paging.page(views, key=lambda view: [view.place.id, view.since.isoformat()])

    return routes


def _after(paging: Paging) -> tuple[str, datetime] | None:
    after = paging.after_parts(2)
    if after is None:
        return None
    return after[0], instant_in(after[1])
