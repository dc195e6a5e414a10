"""The routes of deployments."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field

from services.provisioner import store
from services.provisioner.actions.deployments import Deployments
from services.provisioner.domain import Failure, Hold, Phase, State, next_step
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Body, Page, Paging, Routes, View, of_query

Reader = Annotated[Principal, requires("deployments:read")]
Overrider = Annotated[Principal, requires("deployments:override")]
Writer = Annotated[Principal, requires("deployments:write")]
AllPages = Annotated[Paging, of_query(Paging)]


class StepView(View):
    """One thing that was done, or that failed."""

    attempt: int
    at: datetime
    step: str = Field(examples=["swap"])
    ok: bool
    text: str


class DeploymentView(View):
    """A certificate on its way into a slot."""

    id: str
    order_id: str
    lineage_id: str
    binding_id: str
    target_id: str
    fingerprint: str
    state: State
    phase: Phase = Field(description="Where the work goes on.")
    attempt: int = Field(description="How many attempts have failed.")
    next_attempt_at: datetime | None
    failure: Failure | None = Field(description="Why the last attempt failed.")
    failed_step: str | None
    reason: str | None
    next_step: str | None = Field(None, description="What a person can do about it.")
    restored: bool | None = Field(description="Whether what was there before is in place again.")
    hold: Hold | None = Field(description="What keeps it from beginning; `next_attempt_at` says until when.")
    hold_reason: str | None
    overridden_by: str | None = Field(description="Who has said that it does not wait for a window.")
    watch_until: datetime | None = Field(description="Until when what is in place must last.")
    discovery: Literal["seen", "stale"] | None = Field(
        description="What discovery has seen at its places since: this certificate, or another one."
    )
    discovered_at: datetime | None
    rollout_id: str | None
    wave: int = Field(description="Of its rollout: 0 are the canaries, 1 is the share, 2 the rest.")
    created_at: datetime
    updated_at: datetime
    deployed_at: datetime | None


class OverrideBody(Body):
    """Why it cannot wait."""

    reason: str = Field(min_length=3, max_length=2000, examples=["The old key was found in a public place."])


class DeploymentReport(DeploymentView):
    """A deployment with all its steps, oldest first."""

    steps: list[StepView]


def deployment_routes(deployments: Deployments, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/deployments")

    @routes.get("", summary="List deployments")
    async def list_deployments(
        caller: Reader,
        paging: AllPages,
        *,
        lineage_id: Annotated[str | None, Query(max_length=100)] = None,
        order_id: Annotated[str | None, Query(max_length=100)] = None,
        target_id: Annotated[str | None, Query(max_length=36)] = None,
        binding_id: Annotated[str | None, Query(max_length=36)] = None,
        rollout_id: Annotated[str | None, Query(max_length=36)] = None,
        state: State | None = None,
    ) -> Page[DeploymentView]:
        rows = await deployments.page(
            after=paging.after[0] if paging.after else None,
            limit=paging.limit,
            caller=caller,
            lineage_id=lineage_id,
            order_id=order_id,
            target_id=target_id,
            binding_id=binding_id,
            rollout_id=rollout_id,
            state=state,
        )
        return paging.page([shown(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{deployment_id}", summary="Show a deployment and its steps")
    async def get_deployment(caller: Reader, deployment_id: str) -> DeploymentReport:
        row, steps = await deployments.get(deployment_id, caller=caller)
        return _reported(row, steps)

    @routes.post("/{deployment_id}/retry", summary="Try a deployment again at once", status_code=202)
    async def retry_deployment(caller: Writer, deployment_id: str) -> DeploymentView:
        return shown(await deployments.retry(deployment_id, caller=caller, now=clock()))

    @routes.post(
        "/{deployment_id}/override",
        summary="Do it now, whatever windows and freezes say, in an emergency",
        status_code=202,
    )
    async def override_window(caller: Overrider, deployment_id: str, body: OverrideBody) -> DeploymentView:
        row = await deployments.override(deployment_id, reason=body.reason, caller=caller, now=clock())
        return shown(row)

    return routes


def shown(row: store.Deployment) -> DeploymentView:
    """Return a deployment as it is shown."""
    view = DeploymentView.model_validate(row)
    advice = next_step(view.failure) if view.failure is not None else None
    return view.model_copy(update={"next_step": advice})


def _reported(row: store.Deployment, steps: Sequence[store.Step]) -> DeploymentReport:
    return DeploymentReport(
        **shown(row).model_dump(), steps=[StepView.model_validate(step) for step in steps]
    )
