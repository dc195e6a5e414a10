"""The routes of adoptions: a certificate that was found is renewed by itself from then on."""

from datetime import datetime
from typing import Annotated

from fastapi import Path, Request
from pydantic import Field

from services.renewal.actions.adoptions import Adoptions, Proposal, Wish
from services.renewal.api.enrolments import EnrolmentView, shown
from services.renewal.connectors import Challenge
from services.renewal.domain.adoption import Fit
from services.renewal.domain.keys import KeyType
from shared.access import Principal, requires
from shared.clock import Clock, Duration
from shared.http import Body, Routes, View
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("enrolments:read")]
Writer = Annotated[Principal, requires("enrolments:write")]
_PRINT = r"^[0-9A-Fa-f]{64}$"
_EXAMPLE = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
Fingerprint = Annotated[str, Path(min_length=64, max_length=64, pattern=_PRINT, examples=[_EXAMPLE])]


class AdoptionBody(Body):
    """Which certificate is to be renewed by itself from now on; all else is proposed, unless it is said here."""

    fingerprint: str = Field(pattern=_PRINT, description="SHA-256 of its DER.", examples=[_EXAMPLE])
    profile: str | None = Field(None, max_length=200, description="A profile's name.", examples=[None])
    authority: str | None = Field(
        None,
        max_length=200,
        description="Instead of a profile: where none of this authority's fits, one is made for exactly its names.",
        examples=["letsencrypt"],
    )
    challenge: Challenge | None = Field(None, description="For a profile that is made.", examples=["dns-01"])
    names: list[str] | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="Left out: those of the certificate that runs out.",
        examples=[None],
    )


class FitView(View):
    """A profile and how well it fits."""

    profile: str
    authority: str
    key_type: KeyType
    lifetime: Duration
    obstacle: str | None = Field(description="Why it cannot be taken.")
    is_same_issuer: bool
    is_same_key: bool


class OwningTeamView(View):
    """The team that owns the certificate."""

    id: str
    name: str


class AdoptionProposalView(View):
    """How a certificate would be renewed."""

    fingerprint: str
    lineage_id: str
    names: list[str]
    issuer: str
    not_after: datetime | None
    key_type: KeyType = Field(description="Of the new certificate's key.")
    lifetime: Duration = Field(description="Of the new certificate.")
    owner: OwningTeamView | None
    profile: str | None = Field(description="That fits best; empty where none does.")
    authority: str | None
    obstacle: str | None
    next_step: str
    is_adopted: bool = Field(description="Whether it is renewed by itself already.")
    profiles: list[FitView] = Field(description="The one that fits best first.")


class AdoptionView(View):
    """A certificate that was adopted."""

    proposal: AdoptionProposalView
    enrolment: EnrolmentView


def adoption_routes(adoptions: Adoptions, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/adoptions")

    @routes.get("/{fingerprint}", summary="Show how a certificate that was found would be renewed")
    async def propose_adoption(caller: Reader, fingerprint: Fingerprint) -> AdoptionProposalView:
        return _proposed(await adoptions.propose(fingerprint.lower(), caller=caller, now=clock()))

    @routes.post("", status_code=201, summary="Have a certificate that was found renewed by itself")
    async def adopt_certificate(
        caller: Writer, body: AdoptionBody, request: Request, key: IdempotencyKey = None
    ) -> AdoptionView:
        async def create() -> AdoptionView:
            wish = Wish(
                **{name: getattr(body, name) for name in ("profile", "authority", "challenge", "names")}
            )
            proposal, enrolment, profile = await adoptions.adopt(
                body.fingerprint.lower(), wish, caller=caller, now=clock()
            )
            return AdoptionView(proposal=_proposed(proposal), enrolment=shown(enrolment, profile))

        return await once.run(request, key=key, caller=caller, body=body, view=AdoptionView, create=create)

    return routes


def _proposed(proposal: Proposal) -> AdoptionProposalView:
    known, best = proposal.known, proposal.best
    return AdoptionProposalView(
        fingerprint=known.fingerprint,
        lineage_id=known.lineage_id,
        names=list(proposal.facts.names),
        issuer=proposal.facts.issuer,
        not_after=known.not_after,
        key_type=proposal.key_type,
        lifetime=proposal.lifetime,
        owner=OwningTeamView.model_validate(known.owner) if known.owner is not None else None,
        profile=best.offer.profile if best else None,
        authority=best.offer.authority if best else None,
        obstacle=proposal.obstacle,
        next_step=proposal.next_step,
        is_adopted=proposal.enrolled is not None,
        profiles=[_fit(fit) for fit in proposal.fits[:50]],
    )


def _fit(fit: Fit) -> FitView:
    offer = fit.offer
    return FitView(
        profile=offer.profile,
        authority=offer.authority,
        key_type=offer.key_type,
        lifetime=offer.lifetime,
        obstacle=fit.obstacle,
        is_same_issuer=fit.is_same_issuer,
        is_same_key=fit.is_same_key,
    )
