"""Why a place was found or missed, over HTTP."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import Field

from services.discovery.actions.explanations import Explanations
from services.discovery.domain.answers import Outcome
from services.discovery.domain.explanations import Verdict
from shared.access import Principal, requires
from shared.http import Routes, View

ScanReader = Annotated[Principal, requires("scans:read")]


class SeenView(View):
    """The place as it is known."""

    key: str
    fingerprint: str
    last_seen: datetime
    misses: int = Field(description="How often in a row it has been missed since.")


class LookView(View):
    """The last scan that asked there."""

    scan_id: str
    outcome: Outcome
    reason: str
    at: datetime = Field(description="When that scan ended, or began where it goes on.")


class PlaceExplanation(View):
    """What is known of one address of the target."""

    address: str | None
    port: int
    server_name: str | None
    verdict: Verdict
    text: str = Field(examples=["It was asked: silent, in scan 0191d7a2… at 2026-11-23 10:00:00 UTC."])
    next_step: str
    seen: SeenView | None
    looked: LookView | None


class ExplanationView(View):
    """Why a target was found or missed, for each of its addresses."""

    target: str
    places: list[PlaceExplanation]


def add_explanations(routes: Routes, explanations: Explanations) -> None:
    """Add the route."""

    @routes.get("/explain", summary='Explain "why was this missed?"')
    async def explain_target(
        caller: ScanReader,
        target: Annotated[
            str,
            Query(
                max_length=300,
                description="A host name, an address or a URL; port 443 unless named.",
                examples=["192.0.2.7:8443"],
            ),
        ],
        server_name: Annotated[
            str | None, Query(max_length=253, description="The name asked for (SNI).")
        ] = None,
    ) -> ExplanationView:
        found = await explanations.of(target, server_name=server_name, caller=caller)
        return ExplanationView(
            target=target, places=[PlaceExplanation.model_validate(each) for each in found]
        )
