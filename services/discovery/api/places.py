"""Places that have served certificates, over HTTP."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from services.discovery.actions.scans import Scans
from shared.access import Principal, requires
from shared.http import Page, Paging, Routes, View, of_query

PlaceReader = Annotated[Principal, requires("places:read", everything=True)]
AllPages = Annotated[Paging, of_query(Paging)]


class PlaceView(View):
    """A place that has served a certificate."""

    key: str = Field(examples=["tls://192.0.2.7:443/www.example.com"])
    address: str
    port: int
    server_name: str | None
    starttls: str | None
    key_type: str | None = Field(description="Where an endpoint has a second certificate: who is shown it.")
    fingerprint: str
    first_seen: datetime
    last_seen: datetime
    misses: int = Field(description="How often in a row it has been missed.")


def add_places(routes: Routes, scans: Scans) -> None:
    """Add the routes."""

    @routes.get("/places", summary="List places that have served certificates")
    async def list_places(_caller: PlaceReader, paging: AllPages) -> Page[PlaceView]:
        after = paging.after[0] if paging.after else None
        rows = await scans.places(after=after, limit=paging.limit)
        return paging.page([PlaceView.model_validate(row) for row in rows], key=lambda view: [view.key])
