"""The routes of wildcards and duplicates: certificates that do for much, and certificates that do the same."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from services.inventory.actions.reading import Reading
from services.inventory.actions.relations import Duplicates, Relations, Wildcard
from services.inventory.api.certificates import CertificateView, shown_all
from services.inventory.api.keys import Fingerprint, SpreadView, as_page, shown, tidy, weighed
from services.inventory.api.places import SeenPlaceView, seen_place
from services.inventory.domain.oddities import Code
from services.inventory.store.tables import Certificate
from shared.access import Principal, requires
from shared.http import Page, Paging, Routes, View, of_query

Reader = Annotated[Principal, requires("certificates:read")]
AllPages = Annotated[Paging, of_query(Paging)]
_Views = Mapping[str, CertificateView]
"""Certificates as they are shown, by fingerprint."""


class WildcardView(View):
    """A certificate for all names below one, and how far it is spread."""

    certificate: CertificateView
    spread: SpreadView
    served_names: list[str] = Field(
        description="Names (SNI) under which it is served, some of them.", examples=[["shop.example.com"]]
    )


class WildcardReportView(WildcardView):
    """A wildcard certificate, where it is, and what it covers; at most 100 of each."""

    places: list[SeenPlaceView]
    covered_names: list[str] = Field(description="Names of other certificates for which this one would do.")


class DuplicatesView(View):
    """Certificates in use that are for the same names, by the same issuer, on the same kind of key, at the same time."""

    certificates: list[CertificateView] = Field(description="The oldest first.")
    spread: SpreadView


class OdditiesView(View):
    """Of how many certificates what is odd; what is odd of none is left out."""

    certificates: dict[Code, int] = Field(examples=[{"serial-not-positive": 2}])


def spread_routes(relations: Relations, reading: Reading) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1")

    async def _by_fingerprint(rows: Sequence[Certificate], caller: Principal) -> _Views:
        return {view.fingerprint: view for view in await shown_all(reading, rows, caller=caller)}

    @routes.get("/wildcards", summary="List wildcard certificates, those in most places first")
    async def list_wildcards(caller: Reader, paging: AllPages) -> Page[WildcardView]:
        rows = await relations.wildcards(after=weighed(paging), limit=paging.limit, scope=caller.scope)
        views = await _by_fingerprint([row.certificate for row in rows], caller)
        return as_page(paging, rows, counted=lambda row: row.counted, view=lambda row: _wildcard(row, views))

    @routes.get(
        "/wildcards/{fingerprint}", summary="Show where a wildcard certificate is, and what it covers"
    )
    async def get_wildcard(caller: Reader, fingerprint: Fingerprint) -> WildcardReportView:
        found = await relations.wildcard(tidy(fingerprint), scope=caller.scope)
        [certificate] = await shown_all(reading, [found.certificate], caller=caller)
        return WildcardReportView(
            certificate=certificate,
            spread=SpreadView.model_validate(found.spread),
            served_names=list(found.served_names),
            places=[seen_place(place, seen) for place, seen in found.places],
            covered_names=list(found.covered_names),
        )

    @routes.get(
        "/duplicates", summary="List certificates in use that do the same, those in most places first"
    )
    async def list_duplicates(caller: Reader, paging: AllPages) -> Page[DuplicatesView]:
        rows = await relations.duplicates(after=weighed(paging), limit=paging.limit, scope=caller.scope)
        views = await _by_fingerprint([each for row in rows for each in row.certificates], caller)
        return as_page(
            paging, rows, counted=lambda row: row.counted, view=lambda row: _duplicates(row, views)
        )

    @routes.get("/oddities", summary="Count certificates by what is odd about their bytes")
    async def count_oddities(caller: Reader) -> OdditiesView:
        return OdditiesView(certificates=dict(await relations.oddities(scope=caller.scope)))

    return routes


def _wildcard(row: Wildcard, views: _Views) -> WildcardView:
    return WildcardView(
        certificate=views[row.certificate.fingerprint],
        spread=shown(row.counted),
        served_names=list(row.served_names),
    )


def _duplicates(row: Duplicates, views: _Views) -> DuplicatesView:
    return DuplicatesView(
        certificates=[views[each.fingerprint] for each in row.certificates],
        spread=shown(row.counted),
    )
