"""The routes of devices: all that is at one host, under all its addresses."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import Path
from pydantic import Field

from services.inventory.actions.reading import Reading
from services.inventory.actions.relations import DeviceReport, Relations
from services.inventory.api.certificates import CertificateView, shown_all
from services.inventory.api.places import SeenPlaceView, seen_place
from shared.access import Principal, requires
from shared.events.inventory import Flaw
from shared.http import Page, Paging, Routes, View, of_query

Reader = Annotated[Principal, requires("places:read")]
AllPages = Annotated[Paging, of_query(Paging)]


class DeviceView(View):
    """An address or host, and how much is there."""

    address: str = Field(examples=["192.0.2.10", "web-1.example.com"])
    same_device: list[str] = Field(
        description="Other addresses and hosts that are known to be the same: a host that is read tells its addresses."
    )
    places: int
    lost: int = Field(description="Of the places, those that do not answer any more.")
    certificates: int
    flaws: dict[Flaw, int] = Field(description="What is wrong there, and at how many places.")
    last_seen: datetime


class FlawedPlaceView(SeenPlaceView):
    """A place, what it serves now, and what is wrong with it."""

    flaws: list[Flaw]


class DeviceReportView(DeviceView):
    """A host under all its addresses: at most 1000 places, and what is at those."""

    found: list[FlawedPlaceView]
    found_certificates: list[CertificateView]
    keys: list[str] = Field(
        description="Fingerprints of the keys of the certificates, and of the private keys that are held there."
    )


def device_routes(relations: Relations, reading: Reading) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1")

    @routes.get("/devices", summary="List addresses and hosts, and how much is at each")
    async def list_devices(caller: Reader, paging: AllPages) -> Page[DeviceView]:
        after = paging.after_parts(1)
        rows = await relations.devices(
            after=after[0] if after else None, limit=paging.limit, scope=caller.scope
        )
        views = [
            DeviceView.model_validate({**vars(device), "same_device": list(same)}) for device, same in rows
        ]
        return paging.page(views, key=lambda view: [view.address])

    @routes.get(
        "/devices/{address:path}",
        summary="Show a host under all its addresses: places, certificates, keys, flaws",
    )
    async def get_device(
        caller: Reader, address: Annotated[str, Path(examples=["192.0.2.10"])]
    ) -> DeviceReportView:
        found = await relations.device(address, scope=caller.scope)
        return _shown(found, await shown_all(reading, found.certificates, caller=caller))

    return routes


def _shown(found: DeviceReport, certificates: Sequence[CertificateView]) -> DeviceReportView:
    return DeviceReportView.model_validate(
        {
            **vars(found.device),
            "certificates": len(found.certificates),
            "same_device": list(found.same_device),
            "found": [
                {**seen_place(place, seen).model_dump(), "flaws": list(found.flaws.get(place.id, ()))}
                for place, seen in found.places
            ],
            "found_certificates": certificates,
            "keys": list(found.keys),
        }
    )
