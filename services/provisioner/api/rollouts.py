"""The routes of rollouts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import Field

from services.provisioner import store
from services.provisioner.actions.rollouts import Progress, Rollouts
from services.provisioner.api.deployments import DeploymentView, shown
from services.provisioner.domain import State
from services.provisioner.domain.rollouts import RolloutState
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Body, Page, Paging, Routes, View, of_query

Reader = Annotated[Principal, requires("rollouts:read")]
Writer = Annotated[Principal, requires("rollouts:write")]
AllPages = Annotated[Paging, of_query(Paging)]


class RolloutView(View):
    """A certificate on its way into the slots of its lineage, wave by wave."""

    id: str
    order_id: str
    lineage_id: str
    fingerprint: str
    state: RolloutState
    wave: int = Field(
        description="The latest that has begun: 0 are the canaries, 1 is the share, 2 the rest."
    )
    canaries: int
    share: int = Field(description="In %, of all.")
    soak: int = Field(description="Seconds between two waves.")
    stop_after: int = Field(description="How many failures stop it.")
    approvals_needed: int
    soaked_at: datetime | None = Field(description="When the next wave begins, if all goes well until then.")
    reason: str | None = Field(description="Why it has stopped, goes on, or ended early.")
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None


class WaveView(View):
    """How far a wave is."""

    wave: int
    counts: dict[State, int] = Field(description="How many deployments are in which state.")


class RolloutReport(RolloutView):
    """A rollout, how far it is, and its deployments, the first to go first."""

    waves: list[WaveView]
    deployments: list[DeploymentView]


class AbortBody(Body):
    """Why."""

    reason: str = Field(min_length=3, max_length=2000, examples=["The new chain breaks old clients."])


def rollout_routes(rollouts: Rollouts, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/rollouts")

    @routes.get("", summary="List rollouts")
    async def list_rollouts(
        caller: Reader,
        paging: AllPages,
        lineage_id: Annotated[str | None, Query(max_length=100)] = None,
        order_id: Annotated[str | None, Query(max_length=100)] = None,
        state: RolloutState | None = None,
    ) -> Page[RolloutView]:
        rows: Sequence[store.Rollout] = await rollouts.page(
            after=paging.after[0] if paging.after else None,
            limit=paging.limit,
            caller=caller,
            lineage_id=lineage_id,
            order_id=order_id,
            state=state,
        )
        return paging.page([RolloutView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{rollout_id}", summary="Show a rollout and how far it is")
    async def get_rollout(caller: Reader, rollout_id: str) -> RolloutReport:
        return _reported(await rollouts.get(rollout_id, caller=caller))

    @routes.post("/{rollout_id}/resume", summary="Go on with a rollout that has stopped", status_code=202)
    async def resume_rollout(caller: Writer, rollout_id: str) -> RolloutView:
        return RolloutView.model_validate(await rollouts.resume(rollout_id, caller=caller, now=clock()))

    @routes.post("/{rollout_id}/abort", summary="Let what has not begun never begin", status_code=202)
    async def abort_rollout(caller: Writer, rollout_id: str, body: AbortBody) -> RolloutView:
        row = await rollouts.abort(rollout_id, reason=body.reason, caller=caller, now=clock())
        return RolloutView.model_validate(row)

    return routes


def _reported(progress: Progress) -> RolloutReport:
    return RolloutReport(
        **RolloutView.model_validate(progress.row).model_dump(),
        waves=[WaveView(wave=wave, counts=dict(counts)) for wave, counts in sorted(progress.waves.items())],
        deployments=[shown(row) for row in progress.deployments],
    )
