"""The routes of places and of replacements: what is served where, and what is to be served instead."""

from datetime import date, datetime
from typing import Annotated

from fastapi import Query
from pydantic import Field

from services.inventory.actions.reading import PlaceHistory, PlaceReport, Reading
from services.inventory.api.wanted import Moment, QueryText, asked
from services.inventory.domain.replacements import State
from services.inventory.domain.servings import period
from services.inventory.store.tables import PlaceRow, Sighting
from shared.access import Principal, requires
from shared.clock import Clock
from shared.events.inventory import Flaw
from shared.http import Page, Paging, Routes, View, of_query
from shared.openapi import may_fail

Reader = Annotated[Principal, requires("places:read")]
ReplacementReader = Annotated[Principal, requires("lineages:read")]
AllPages = Annotated[Paging, of_query(Paging)]


class PlaceView(View):
    """Where a certificate is found."""

    id: str
    key: str = Field(examples=["tls://192.0.2.10:443/shop.example.com"])
    kind: str
    address: str
    port: int | None
    server_name: str | None
    starttls: str | None
    key_type: str | None = Field(
        description="Where an endpoint has a second certificate: for clients that verify only this kind of key."
    )
    path: str | None


class SeenPlaceView(PlaceView):
    """A place, and what it serves now."""

    fingerprint: str | None = Field(description="Empty where it does not answer any more.")
    first_seen: datetime = Field(description="Since when it has been as it is now.")
    last_seen: datetime


class SlotServedView(View):
    """What was seen at one address of the host."""

    address: str
    server_name: str | None
    fingerprint: str
    last_seen: datetime


class SlotView(View):
    """A listener and server name that a certificate is configured for, beside what was seen there."""

    store: str = Field(
        description="The key of the place that holds the certificate.",
        examples=["store://web-1.example.com//etc/nginx/tls/shop.pem"],
    )
    fingerprint: str = Field(description="The certificate that is configured.")
    product: str = Field(examples=["nginx"])
    file: str
    line: int
    port: int
    address: str | None = Field(description="Empty for every address of the host.")
    starttls: str | None
    server_name: str | None
    key: str | None = Field(description="The file that holds its key.")
    chain: str | None = Field(description="The file that holds its chain, where that is another one.")
    protocols: list[str] = Field(
        description="As the product writes them; empty where its default holds.",
        examples=[["TLSv1.2", "TLSv1.3"]],
    )
    ciphers: str | None = Field(
        description="As the product writes them; empty where its default holds.", examples=["HIGH:!aNULL"]
    )
    served: list[SlotServedView] = Field(description="Empty where no scan has looked there.")
    is_served: bool | None = Field(
        description="Empty where it is not known: nobody has looked since, or only a certificate for other kinds of "
        "client was seen."
    )


class BothViewsView(SeenPlaceView):
    """A place: what it serves or holds, and what is configured."""

    configured: list[SlotView] = Field(
        description="Of an endpoint, what is to be served there; of a store, what its certificate is configured for. "
        "At most 100; a store's are all with its holding."
    )
    configured_count: int
    flaws: list[Flaw]


class ServingView(View):
    """What a place served from when until when."""

    fingerprint: str | None = Field(description="Empty where it did not answer.")
    since: datetime
    last_seen: datetime
    until: datetime | None = Field(description="When it was first seen otherwise; empty if it is so now.")


class PlaceHistoryView(View):
    """What a place served, the latest first, at most 1000 changes."""

    place: PlaceView
    servings: list[ServingView]


class ReplacementView(View):
    """A certificate that is to take the place of another, and how far that has come."""

    id: str
    lineage_id: str
    old_fingerprint: str
    fingerprint: str
    order_id: str | None = Field(description="Empty where somebody else has put the new one in place.")
    state: State
    opened_at: datetime
    deployed_at: datetime | None
    replaced_at: datetime | None
    stale_places: list[PlaceView] = Field(description="Where the old one was still served.")


def place_routes(reading: Reading, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1")

    @routes.get("/places", summary="List places: what they serve, and what is configured")
    async def list_places(
        caller: Reader,
        paging: AllPages,
        *,
        query: QueryText = None,
        address: Annotated[str | None, Query(max_length=255)] = None,
        port: Annotated[int | None, Query(ge=1, le=65535)] = None,
        fingerprint: Annotated[str | None, Query(max_length=64)] = None,
        flaw: Annotated[Flaw | None, Query(description="Only those with which this is wrong.")] = None,
    ) -> Page[BothViewsView]:
        rows = await reading.places(
            scope=caller.scope,
            after=paging.after[0] if paging.after else None,
            limit=paging.limit,
            address=address,
            port=port,
            fingerprint=fingerprint,
            flaw=flaw,
            asked=asked(query, now=clock()),
        )
        return paging.page([_both(row) for row in rows], key=lambda view: [view.id])

    @routes.get(
        "/places/history",
        summary="Show what a place served, or what it served at one instant",
        responses=may_fail(404),
    )
    async def get_place_history(
        caller: Reader,
        key: Annotated[str, Query(examples=["tls://192.0.2.10:443/shop.example.com"])],
        at: Moment | None = None,
        on: Annotated[date | None, Query(description="All that it served on this day, in UTC.")] = None,
    ) -> PlaceHistoryView:
        during = period(at=at, on=on) if on else None
        return _history(await reading.history(key, scope=caller.scope, at=at, during=during))

    @routes.get("/replacements", summary="List replacements and how far they have come")
    async def list_replacements(
        caller: ReplacementReader,
        paging: AllPages,
        *,
        lineage_id: Annotated[str | None, Query(max_length=100)] = None,
        state: State | None = None,
    ) -> Page[ReplacementView]:
        rows = await reading.replacements(
            scope=caller.scope,
            after=paging.after[0] if paging.after else None,
            limit=paging.limit,
            lineage_id=lineage_id,
            state=state,
        )
        views = [
            ReplacementView.model_validate({**row.model_dump(), "stale_places": stale}) for row, stale in rows
        ]
        return paging.page(views, key=lambda view: [view.id])

    return routes


def seen_place(place: PlaceRow, seen: Sighting) -> SeenPlaceView:
    """Show a place and what it serves."""
    return SeenPlaceView(
        **PlaceView.model_validate(place).model_dump(),
        fingerprint=seen.fingerprint,
        first_seen=seen.first_seen,
        last_seen=seen.last_seen,
    )


def _both(found: PlaceReport) -> BothViewsView:
    return BothViewsView(
        **seen_place(found.place, found.seen).model_dump(),
        configured=[SlotView.model_validate(slot) for slot in found.configured],
        configured_count=found.configured_count,
        flaws=list(found.flaws),
    )


def _history(found: PlaceHistory) -> PlaceHistoryView:
    return PlaceHistoryView(
        place=PlaceView.model_validate(found.place),
        servings=[ServingView.model_validate(serving) for serving in found.servings],
    )
