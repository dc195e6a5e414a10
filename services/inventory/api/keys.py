"""The routes of keys: which certificates are on one, where it is, and which are in too many places."""

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from fastapi import Path
from pydantic import Field

from services.inventory.actions.reading import Reading
from services.inventory.actions.relations import Counted, KeyReport, Relations
from services.inventory.api.certificates import CertificateView, shown_all
from services.inventory.api.places import SeenPlaceView, seen_place
from shared.access import Principal, requires
from shared.http import Page, Paging, Routes, View, number_in, of_query

Reader = Annotated[Principal, requires("certificates:read")]
PlaceReader = Annotated[Principal, requires("places:read")]
AllPages = Annotated[Paging, of_query(Paging)]
T = TypeVar("T")
R = TypeVar("R")
Fingerprint = Annotated[
    str, Path(max_length=100, description="SHA-256 in hexadecimal; colons do not matter.")
]


class SpreadView(View):
    """In how many certificates and places something is."""

    certificates: int
    addresses: int = Field(description="That serve it.")
    hosts: int = Field(description="That hold it in a store: the private key, or the certificate.")
    places: int


class KeyView(View):
    """A public key that is in several certificates or places."""

    fingerprint: str = Field(description="SHA-256 of its SubjectPublicKeyInfo.")
    spread: SpreadView


class KeyReportView(KeyView):
    """A public key, the certificates on it, and where it is; at most 100 of each."""

    key_type: str | None
    key_bits: int | None
    lineages: list[str]
    certificates: list[CertificateView] = Field(description="Those that end last first.")
    hosts: list[str] = Field(description="That hold the private key.")
    places: list[SeenPlaceView] = Field(
        description="That serve a certificate on it, or hold the private key."
    )


def key_routes(relations: Relations, reading: Reading) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1")

    @routes.get("/keys", summary="List keys that are in several certificates or places, the worst first")
    async def list_shared_keys(caller: Reader, paging: AllPages) -> Page[KeyView]:
        rows = await relations.shared_keys(after=weighed(paging), limit=paging.limit, scope=caller.scope)
        return as_page(
            paging,
            rows,
            counted=lambda row: row,
            view=lambda row: KeyView(fingerprint=row.id, spread=shown(row)),
        )

    @routes.get("/keys/{fingerprint}", summary="Show a key: its certificates, places, hosts and lineages")
    async def get_key(caller: Reader, fingerprint: Fingerprint) -> KeyReportView:
        found = await relations.key(tidy(fingerprint), scope=caller.scope)
        return _report(found, await shown_all(reading, found.certificates, caller=caller))

    @routes.get("/keys/{fingerprint}/places", summary="List the places of a key")
    async def list_key_places(
        caller: PlaceReader, fingerprint: Fingerprint, paging: AllPages
    ) -> Page[SeenPlaceView]:
        after = paging.after_parts(1)
        rows = await relations.places_of_key(
            tidy(fingerprint), after=after[0] if after else None, limit=paging.limit, scope=caller.scope
        )
        return paging.page([seen_place(place, seen) for place, seen in rows], key=lambda view: [view.id])

    return routes


def tidy(fingerprint: str) -> str:
    """Write a fingerprint as the store does."""
    return fingerprint.lower().replace(":", "")


def shown(counted: Counted) -> SpreadView:
    """Show how far something is spread."""
    return SpreadView.model_validate(counted.spread)


def weighed(paging: Paging) -> tuple[int, str] | None:
    """Return the weight and the id that the page starts after. Raises `Invalid`."""
    after = paging.after_parts(2)
    if after is None:
        return None
    return number_in(after[0]), after[1]


def as_page(
    paging: Paging, rows: Sequence[R], *, counted: Callable[[R], Counted], view: Callable[[R], T]
) -> Page[T]:
    """Build a page of what is listed by weight."""
    page = paging.page(rows, key=lambda row: [str(counted(row).weight), counted(row).id])
    return Page(items=[view(row) for row in page.items], next_cursor=page.next_cursor)


def _report(found: KeyReport, certificates: Sequence[CertificateView]) -> KeyReportView:
    first = found.certificates[0] if found.certificates else None
    return KeyReportView(
        fingerprint=found.fingerprint,
        spread=SpreadView.model_validate(found.spread),
        key_type=first.key_type if first else None,
        key_bits=first.key_bits if first else None,
        lineages=sorted({row.lineage_id for row in found.certificates}),
        certificates=list(certificates),
        hosts=list(found.hosts),
        places=[seen_place(place, seen) for place, seen in found.places],
    )
