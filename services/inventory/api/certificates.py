"""The routes of certificates."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import Header, Response
from fastapi.responses import PlainTextResponse
from pydantic import Field
from pydantic_core import to_json

from services.inventory.actions.labels import Labels
from services.inventory.actions.reading import CertificateReport, Reading
from services.inventory.api.labels import Labelled
from services.inventory.api.places import SeenPlaceView
from services.inventory.api.wanted import Sorted, Wanted
from services.inventory.domain.assessment.quantum import Signature, signature
from services.inventory.domain.chains.verdicts import ChainState
from services.inventory.domain.oddities import Code
from shared.access import Principal, requires
from shared.clock import Clock
from shared.events.inventory import Urgency
from shared.http import Page, Paging, Routes, View, etag, of_query
from shared.lint import Severity
from shared.revocation.words import Revocation

Reader = Annotated[Principal, requires("certificates:read")]
AllPages = Annotated[Paging, of_query(Paging)]
TEXT = ("text/plain", "application/x-pem-file")
_FINGERPRINT = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"


class CertificateView(Labelled):
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
    finding: str | None = Field(description="What could not be read of it, and why; empty where all was.")
    is_current: bool = Field(description="Whether its expiry matters: it is in use and has no successor.")
    urgency: Urgency | None = Field(description="The last threshold that was crossed.")
    next_crossing_at: datetime | None
    first_known_at: datetime


_OF_ROW = tuple(name for name in CertificateView.model_fields if name not in Labelled.model_fields)
"""What a certificate shows that is not how it is organised."""


class CrossedView(View):
    """A threshold that was crossed."""

    urgency: Urgency
    at: datetime
    is_told: bool = Field(description="Whether an event said so; of several at once only the most urgent.")


class OddityView(View):
    """Something odd about a certificate."""

    code: Code
    detail: str = Field(examples=["Its serial number has 100 octets."])


class CertificateReportView(CertificateView):
    """A certificate, where it is now (at most 1000 places), and what it has crossed."""

    chain: list[str] = Field(description="Fingerprints of what was served after it, as last seen.")
    chain_state: ChainState | None = Field(
        description="What is wrong with that chain, the worst of it; empty where it was not judged yet."
    )
    is_trusted: bool | None = Field(
        description="Whether it led to a root of a trust store when it was judged; empty where it was not yet."
    )
    revocation: Revocation | None = Field(
        description="What its authority says; empty where nobody was asked, or it names nobody to ask."
    )
    findings: dict[Severity, int] = Field(description="How many rules it breaks, by severity.")
    pq_signature: Signature = Field(
        description="What its key and its signature rest on: its part of post-quantum readiness; that of a place, where key "
        "exchange counts too, is with the place's assessment."
    )
    place_count: int
    places: list[SeenPlaceView]
    thresholds_passed: list[CrossedView]
    oddities: list[OddityView]


class PemView(View):
    """A certificate as PEM, and those served after it."""

    fingerprint: str
    pem: str = Field(examples=["-----BEGIN CERTIFICATE-----\n…"])
    chain: list[str]


def certificate_routes(reading: Reading, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1")

    @routes.get("/certificates", summary="List certificates", response_model=Page[CertificateView])
    async def list_certificates(
        caller: Reader,
        paging: AllPages,
        wanted: Annotated[Wanted, of_query(Wanted)],
        sorting: Annotated[Sorted, of_query(Sorted)],
    ) -> Response:
        rows = await reading.certificates(
            wanted.seen_by(caller, now=clock()),
            order=sorting.order,
            after=sorting.after(paging),
            limit=paging.limit,
        )
        page = paging.page(rows, key=sorting.cursor)
        labels = await reading.labels(page.items, scope=caller.scope)
        return _written(page, labels)

    @routes.get(
        "/certificates/{fingerprint}",
        summary="Show a certificate and where it is",
        response_model=CertificateReportView,
    )
    async def get_certificate(caller: Reader, fingerprint: str) -> Response:
        found = await reading.certificate(fingerprint.lower(), scope=caller.scope)
        return _json(_reported(found), ETag=etag(found.labels.version))

    @routes.get(
        "/certificates/{fingerprint}/pem",
        summary="Download a certificate; as text where `Accept` says so, with its chain after it",
        response_model=PemView,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def get_certificate_pem(
        caller: Reader, fingerprint: str, accept: Annotated[str, Header()] = "application/json"
    ) -> PemView | Response:
        found = await reading.pem(fingerprint.lower(), scope=caller.scope)
        if any(kind in accept for kind in TEXT):
            return PlainTextResponse(found.pem + "".join(found.chain))
        return PemView.model_validate(found)

    return routes


async def shown_all(reading: Reading, rows: Sequence[Any], *, caller: Principal) -> list[CertificateView]:
    """Show certificates, or rows with what lists show of them."""
    labels = await reading.labels(rows, scope=caller.scope)
    return [shown(row, labels[row.fingerprint]) for row in rows]


def shown(row: Any, labels: Labels) -> CertificateView:
    """Show a certificate."""
    # All at once: a list has hundreds of them.
    return CertificateView.model_validate({**vars(row), **vars(labels)})


def _written(page: Page[Any], labels: Mapping[str, Labels]) -> Response:
    """Write a page of certificates as `Page[CertificateView]` would."""
    said = [(vars(row), vars(labels[row.fingerprint])) for row in page.items]
    items = [{**{name: row[name] for name in _OF_ROW}, **labelled} for row, labelled in said]
    return _json({"items": items, "next_cursor": page.next_cursor})


def _reported(report: CertificateReport) -> Mapping[str, Any]:
    """Return what `CertificateReportView` would write."""
    facts = report.facts
    said = {
        **vars(report.row),
        **vars(report.labels),
        **vars(facts),
        **vars(facts.judged),
        "pq_signature": signature(report.row),
        "places": _parts(SeenPlaceView, facts.places),
        "thresholds_passed": _parts(CrossedView, facts.crossed),
        "oddities": _parts(OddityView, facts.oddities),
    }
    return {name: said[name] for name in CertificateReportView.model_fields}


def _parts(view: type[View], rows: Sequence[Any]) -> list[Mapping[str, Any]]:
    return [{name: getattr(row, name) for name in view.model_fields} for row in rows]


def _json(said: Mapping[str, Any], **headers: str) -> Response:
    """Answer with what has the types of the model already: what the database gives has.

    To make models of it, and to check those again, costs as much as all the rest of an answer.
    """
    return Response(to_json(said), headers=headers, media_type="application/json")
