"""The routes of deployments."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query
from pydantic import Field

from services.provisioner import store
from services.provisioner.actions.deployments import Deployments
from services.provisioner.domain import Failure, Phase, State, next_step
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Page, Paging, Routes, View

Reader = Annotated[Principal, requires("deployments:read")]
Writer = Annotated[Principal, requires("deployments:write")]
AllPages = Annotated[Paging, Depends()]


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
    created_at: datetime
    updated_at: datetime
    deployed_at: datetime | None


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
            state=state,
        )
        return paging.page([_shown(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{deployment_id}", summary="Show a deployment and its steps")
    async def get_deployment(caller: Reader, deployment_id: str) -> DeploymentReport:
        row, steps = await deployments.get(deployment_id, caller=caller)
        return _reported(row, steps)

    @routes.post("/{deployment_id}/retry", summary="Try a deployment again at once", status_code=202)
    async def retry_deployment(caller: Writer, deployment_id: str) -> DeploymentView:
        return _shown(await deployments.retry(deployment_id, caller=caller, now=clock()))

    return routes


def _shown(row: store.Deployment) -> DeploymentView:
    view = DeploymentView.model_validate(row)
    advice = next_step(view.failure) if view.failure is not None else None
    return view.model_copy(update={"next_step": advice})


def _reported(row: store.Deployment, steps: Sequence[store.Step]) -> DeploymentReport:
    return DeploymentReport(
        **_shown(row).model_dump(), steps=[StepView.model_validate(step) for step in steps]
    )
