"""The routes of holdings: how stores keep certificates, what uses them there, and what is wrong with that."""

from typing import Annotated

from fastapi import Query
from pydantic import Field

from services.inventory.actions.reading import HoldingReport, Reading
from services.inventory.api.places import PlaceView, SlotView
from shared.access import Principal, requires
from shared.events.discovery import Held
from shared.events.inventory import Flaw
from shared.http import Page, Paging, Routes, View, of_query

Reader = Annotated[Principal, requires("places:read")]
AllPages = Annotated[Paging, of_query(Paging)]


class HoldingView(View):
    """A certificate in a store: where, how it is kept, what uses it, and what is wrong with that."""

    place: PlaceView
    fingerprint: str
    held: Held
    flaws: list[Flaw]
    slots: list[SlotView] = Field(description="Configured and served, side by side.")
    key_shared_with: list[str] = Field(description="Other hosts that hold the same private key; at most 100.")


def holding_routes(reading: Reading) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1")

    @routes.get("/holdings", summary="List certificates in stores: how they are kept, and what uses them")
    async def list_holdings(
        caller: Reader,
        paging: AllPages,
        *,
        address: Annotated[str | None, Query(max_length=255, description="A host or an account.")] = None,
        fingerprint: Annotated[str | None, Query(max_length=64)] = None,
        flaw: Annotated[Flaw | None, Query(description="Only those with which this is wrong.")] = None,
    ) -> Page[HoldingView]:
        found = await reading.holdings(
            scope=caller.scope,
            after=paging.after[0] if paging.after else None,
            limit=paging.limit,
            address=address,
            fingerprint=fingerprint,
            flaw=flaw,
        )
        return paging.page([_view(each) for each in found], key=lambda view: [view.place.id])

    return routes


def _view(found: HoldingReport) -> HoldingView:
    return HoldingView(
        place=PlaceView.model_validate(found.place),
        fingerprint=found.fingerprint,
        held=found.held,
        flaws=list(found.flaws),
        key_shared_with=list(found.key_shared_with),
        slots=[SlotView.model_validate(slot) for slot in found.slots],
    )
