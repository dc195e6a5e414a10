"""The routes of certificates, and the summary of all that is known."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Header, Query, Response
from fastapi.responses import PlainTextResponse
from pydantic import AfterValidator, Field

from services.inventory.actions.reading import CertificateReport, Reading
from services.inventory.api.places import SeenPlaceView, seen_place
from services.inventory.domain.replacements import State
from services.inventory.store.certificates import CertificateFilter
from shared.access import Principal, requires
from shared.events.inventory import Urgency
from shared.http import Page, Paging, Routes, View

Reader = Annotated[Principal, requires("certificates:read")]
AllPages = Annotated[Paging, Depends()]
TEXT = ("text/plain", "application/x-pem-file")
_FINGERPRINT = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"


def _in_utc(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)


Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""An instant; one without an offset is in UTC."""


class CertificateView(View):
    """A certificate; what cannot be read of it is empty, and `finding` says why."""

    id: str
    fingerprint: str = Field(description="SHA-256 of its DER.", examples=[_FINGERPRINT])
    lineage_id: str
    subject: str | None = Field(examples=["CN=shop.example.com"])
    issuer: str | None
    serial: str | None
    names: list[str] = Field(examples=[["shop.example.com"]])
    not_before: datetime | None
    not_after: datetime | None
    key_type: str | None = Field(examples=["ecdsa-p256"])
    key_bits: int | None
    key_fingerprint: str | None = Field(description="SHA-256 of the SubjectPublicKeyInfo.")
    signature_algorithm: str | None
    is_ca: bool
    is_self_issued: bool
    finding: str | None
    is_current: bool = Field(description="Whether its expiry matters: it is in use and has no successor.")
    urgency: Urgency | None = Field(description="The last threshold that was crossed.")
    next_crossing_at: datetime | None
    first_known_at: datetime


class CrossedView(View):
    """A threshold that was crossed."""

    urgency: Urgency
    at: datetime
    is_told: bool = Field(description="Whether an event said so; of several at once only the most urgent.")


class CertificateReportView(CertificateView):
    """A certificate, where it is now (at most 1000 places), and what it has crossed."""

    chain: list[str] = Field(description="Fingerprints of what was served after it, as last seen.")
    place_count: int
    places: list[SeenPlaceView]
    thresholds_passed: list[CrossedView]


class PemView(View):
    """A certificate as PEM, and those served after it."""

    fingerprint: str
    pem: str = Field(examples=["-----BEGIN CERTIFICATE-----\n…"])
    chain: list[str]


class SummaryView(View):
    """How many there are of what."""

    certificates: int
    current: int
    unreadable: int
    places: int
    places_lost: int
    expiring: dict[Urgency, int] = Field(description="Current certificates by the last threshold crossed.")
    replacements: dict[State, int]
    stale: int = Field(examples=[0])


class Wanted:
    """The filters of the list of certificates."""

    def __init__(
        self,
        *,
        name: Annotated[
            str | None, Query(max_length=255, description="A name, or `*.example.com` for all below it.")
        ] = None,
        lineage_id: Annotated[str | None, Query(max_length=100)] = None,
        expires_before: Moment | None = None,
        key_type: Annotated[str | None, Query(max_length=50)] = None,
        address: Annotated[str | None, Query(max_length=255, description="Of a place it is at.")] = None,
        port: Annotated[int | None, Query(ge=1, le=65535)] = None,
        current: Annotated[bool | None, Query(description="Whether its expiry matters.")] = None,
    ) -> None:
        self.filter = CertificateFilter(
            name=name,
            lineage_id=lineage_id,
            expires_before=expires_before,
            key_type=key_type,
            address=address,
            port=port,
            is_current=current,
        )


def certificate_routes(reading: Reading) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1")

    @routes.get("/certificates", summary="List certificates")
    async def list_certificates(
        _caller: Reader, paging: AllPages, wanted: Annotated[Wanted, Depends()]
    ) -> Page[CertificateView]:
        after = paging.after[0] if paging.after else None
        rows = await reading.certificates(wanted.filter, after=after, limit=paging.limit)
        return paging.page([CertificateView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/certificates/{fingerprint}", summary="Show a certificate and where it is")
    async def get_certificate(_caller: Reader, fingerprint: str) -> CertificateReportView:
        return _shown(await reading.certificate(fingerprint.lower()))

    @routes.get(
        "/certificates/{fingerprint}/pem",
        summary="Download a certificate; as text where `Accept` says so, with its chain after it",
        response_model=PemView,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def get_certificate_pem(
        _caller: Reader, fingerprint: str, accept: Annotated[str, Header()] = "application/json"
    ) -> PemView | Response:
        found = await reading.pem(fingerprint.lower())
        if any(kind in accept for kind in TEXT):
            return PlainTextResponse(found.pem + "".join(found.chain))
        return PemView.model_validate(found)

    @routes.get("/summary", summary="Count certificates, places, and what is urgent")
    async def get_summary(_caller: Reader) -> SummaryView:
        found = await reading.summary()
        return SummaryView(
            certificates=found.certificates,
            current=found.current,
            unreadable=found.unreadable,
            places=found.places,
            places_lost=found.places_lost,
            expiring=found.by_urgency,
            replacements=found.replacements,
            stale=found.replacements[State.STALE],
        )

    return routes


def _shown(report: CertificateReport) -> CertificateReportView:
    return CertificateReportView(
        **CertificateView.model_validate(report.row).model_dump(),
        chain=report.row.chain,
        place_count=report.place_count,
        places=[seen_place(place, seen) for place, seen in report.places],
        thresholds_passed=[CrossedView.model_validate(row) for row in report.crossed],
    )
