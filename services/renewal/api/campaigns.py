"""The routes of campaigns."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import StreamingResponse
from pydantic import Field

from services.renewal.actions.campaigns import Campaigns, NewCampaign, Progress
from services.renewal.actions.evidence import Evidence
from services.renewal.domain.campaigns import CampaignState, ItemState, Until, Waves, Wishes
from shared.access import Principal, requires
from shared.clock import Clock, Moment
from shared.events.renewal import RevocationReason
from shared.groups import Groups
from shared.http import Body, Page, Paging, Routes, View, of_query
from shared.idempotency import IdempotencyKey, Once
from shared.openapi import may_fail

Reader = Annotated[Principal, requires("campaigns:read")]
Writer = Annotated[Principal, requires("campaigns:write")]
AllPages = Annotated[Paging, of_query(Paging)]
_REPORT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}, "description": "The report."},
    **may_fail(409),
}


class WavesBody(Body):
    """How fast it goes."""

    first: int = Field(10, ge=1, le=100_000, description="Certificates of the first wave, to learn from.")
    size: int = Field(1000, ge=1, le=100_000, description="Certificates of each wave after it.")
    in_flight: int = Field(200, ge=1, le=10_000, description="Orders at a time.")
    until: Until = Field(
        Until.REPLACED,
        description="What the next wave waits for: the certificates alone, or that they were seen in place.",
    )
    stop_at: float = Field(0.05, ge=0, le=1, description="With a larger share of failures it pauses.")


class CampaignBody(Body):
    """Certificates that are to be replaced."""

    name: str = Field(min_length=1, max_length=200, examples=["Replace what Old CA issued"])
    query: str = Field(
        min_length=1,
        max_length=4000,
        description="Which, in inventory's query language; of those the ones in use are taken.",
        examples=['issuer = "CN=Old CA"'],
    )
    reason: str = Field(min_length=1, max_length=2000, examples=["Old CA is distrusted."])
    deadline: Moment | None = Field(None, examples=["2026-12-04T18:00:00Z"])
    profiles: list[Annotated[str, Field(max_length=200)]] = Field(
        [], max_length=100, description="By which they may be replaced; left out, each by what fits it best."
    )
    not_from: list[Annotated[str, Field(max_length=200)]] = Field(
        [], max_length=100, description="Names of authorities that must not issue the new ones."
    )
    waves: WavesBody = WavesBody()
    revoke: RevocationReason | None = Field(
        None, description="Revoke each old one, with this reason, once the new one was seen in its place."
    )
    groups: Groups = Field(default=[])


class DigestBody(Body):
    """Which plan is meant."""

    plan_digest: str = Field(min_length=64, max_length=64)


class ReasonBody(Body):
    """Why."""

    reason: str = Field(min_length=1, max_length=2000)


class ResumeBody(Body):
    """How it is to go on."""

    retry_failed: bool = Field(False, description="Order again what has failed.")


class CampaignView(View):
    """A campaign."""

    id: str
    name: str
    query: str
    reason: str
    deadline: datetime | None
    profiles: list[str]
    not_from: list[str]
    waves: dict[str, Any]
    revoke: RevocationReason | None
    groups: list[str]
    state: CampaignState
    wave: int = Field(description="The one that is being worked on, from 0.")
    plan_digest: str | None = Field(description="Of all that would be done; starting it says which is meant.")
    last_error: str | None = Field(description="Why it does not go on, or was stopped.")
    next_step: str | None
    created_at: datetime
    created_by: str
    started_at: datetime | None
    started_by: str | None
    finished_at: datetime | None


class ByHandView(View):
    """What people have to do."""

    owner: str | None
    obstacle: str | None
    count: int


class CampaignReport(CampaignView):
    """A campaign, and how far it is."""

    counts: dict[ItemState, int]
    total: int
    bound: int = Field(description="How many the provisioner puts in place by itself.")
    wave_count: int
    per_hour: float = Field(description="How many were done an hour, of late.")
    ends_at: datetime | None = Field(description="When it will be over, as it goes now.")
    is_late: bool = Field(description="Whether that is after the deadline.")
    by_hand: list[ByHandView] = Field(description="Who has to replace how many by hand, and why.")


class ItemView(View):
    """One certificate of a campaign."""

    lineage_id: str
    fingerprint: str
    names: list[str]
    issuer: str
    not_after: datetime
    owner: str | None
    profile: str | None
    authority: str | None
    obstacle: str | None
    next_step: str | None
    is_bound: bool
    wave: int | None
    state: ItemState
    order_id: str | None
    new_fingerprint: str | None
    ordered_at: datetime | None
    renewed_at: datetime | None
    observed_at: datetime | None


class KeySet(View):
    """What reports are verified with (RFC 7517)."""

    keys: list[dict[str, str]]


def campaign_routes(campaigns: Campaigns, evidence: Evidence, *, once: Once, clock: Clock) -> list[Routes]:
    """Build the routes."""
    routes = Routes(prefix="/v1/campaigns")
    _add_steering(routes, campaigns, clock=clock)

    @routes.post("", summary="Plan a campaign: replace many certificates as one job", status_code=202)
    async def create_campaign(
        caller: Writer, request: Request, body: CampaignBody, key: IdempotencyKey = None
    ) -> CampaignView:
        async def create() -> CampaignView:
            row = await campaigns.create(_wanted(body), caller=caller, now=clock())
            return CampaignView.model_validate(row)

        return await once.run(request, key=key, caller=caller, body=body, view=CampaignView, create=create)

    @routes.get("", summary="List campaigns")
    async def list_campaigns(caller: Reader, paging: AllPages) -> Page[CampaignView]:
        after = paging.after[0] if paging.after else None
        rows = await campaigns.page(after=after, limit=paging.limit, caller=caller)
        return paging.page([CampaignView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{campaign_id}", summary="Show a campaign and how far it is")
    async def get_campaign(caller: Reader, campaign_id: str) -> CampaignReport:
        return _report(await campaigns.progress(campaign_id, caller=caller, now=clock()))

    @routes.get("/{campaign_id}/items", summary="List the certificates of a campaign")
    async def list_campaign_items(
        caller: Reader,
        campaign_id: str,
        paging: AllPages,
        state: ItemState | None = None,
        wave: Annotated[int | None, Query(ge=0)] = None,
    ) -> Page[ItemView]:
        after = paging.after[0] if paging.after else None
        rows = await campaigns.items(
            campaign_id, after=after, limit=paging.limit, state=state, wave=wave, caller=caller
        )
        views = [ItemView.model_validate(row) for row in rows]
        return paging.page(views, key=lambda view: [view.lineage_id])

    return [routes, *_report_routes(evidence, clock=clock)]


def _add_steering(routes: Routes, campaigns: Campaigns, *, clock: Clock) -> None:
    @routes.post("/{campaign_id}/plan", summary="Plan a campaign anew", status_code=202)
    async def plan_campaign(caller: Writer, campaign_id: str) -> CampaignView:
        return CampaignView.model_validate(await campaigns.plan_again(campaign_id, caller=caller))

    @routes.post("/{campaign_id}/start", summary="Start a planned campaign", status_code=202)
    async def start_campaign(caller: Writer, campaign_id: str, body: DigestBody) -> CampaignView:
        row = await campaigns.start(campaign_id, digest=body.plan_digest, caller=caller, now=clock())
        return CampaignView.model_validate(row)

    @routes.post("/{campaign_id}/pause", summary="Order nothing more for now")
    async def pause_campaign(caller: Writer, campaign_id: str, body: ReasonBody) -> CampaignView:
        row = await campaigns.pause(campaign_id, reason=body.reason, caller=caller, now=clock())
        return CampaignView.model_validate(row)

    @routes.post("/{campaign_id}/resume", summary="Let a campaign go on", status_code=202)
    async def resume_campaign(caller: Writer, campaign_id: str, body: ResumeBody) -> CampaignView:
        row = await campaigns.resume(campaign_id, retry_failed=body.retry_failed, caller=caller, now=clock())
        return CampaignView.model_validate(row)

    @routes.post("/{campaign_id}/abort", summary="End a campaign before it is over")
    async def abort_campaign(caller: Writer, campaign_id: str, body: ReasonBody) -> CampaignView:
        row = await campaigns.abort(campaign_id, reason=body.reason, caller=caller, now=clock())
        return CampaignView.model_validate(row)


def _report_routes(evidence: Evidence, *, clock: Clock) -> list[Routes]:
    routes = Routes(prefix="/v1/campaigns")
    keys = Routes(prefix="/v1/evidence-keys")

    @routes.get(
        "/{campaign_id}/evidence",
        summary="Download the signed report of a campaign",
        response_class=StreamingResponse,
        responses=_REPORT,
    )
    async def get_campaign_evidence(caller: Reader, campaign_id: str) -> StreamingResponse:
        lines = await evidence.report(campaign_id, caller=caller, now=clock())
        named = {"Content-Disposition": f'attachment; filename="campaign-{campaign_id}.ndjson"'}
        return StreamingResponse(lines, media_type="application/x-ndjson", headers=named)

    @keys.get("", summary="Show what reports are verified with")
    async def get_evidence_keys(_caller: Reader) -> KeySet:
        return KeySet(keys=await evidence.keys(now=clock()))

    return [routes, keys]


def _wanted(body: CampaignBody) -> NewCampaign:
    return NewCampaign(
        name=body.name,
        query=body.query,
        reason=body.reason,
        deadline=body.deadline,
        wishes=Wishes(profiles=tuple(body.profiles), not_from=tuple(body.not_from)),
        waves=Waves(**body.waves.model_dump()),
        revoke=body.revoke,
        groups=body.groups,
    )


def _report(progress: Progress) -> CampaignReport:
    return CampaignReport(
        **CampaignView.model_validate(progress.campaign).model_dump(),
        counts=dict(progress.counts),
        total=progress.total,
        bound=progress.bound,
        wave_count=progress.waves,
        per_hour=progress.forecast.per_hour,
        ends_at=progress.forecast.ends_at,
        is_late=progress.is_late,
        by_hand=[
            ByHandView(owner=owner, obstacle=obstacle, count=number)
            for owner, obstacle, number in progress.by_hand
        ],
    )
