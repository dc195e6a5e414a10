"""The routes of plans: what would be done, before it is done."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import Field

from services.provisioner.actions.plans import Plan, Plans, SlotPlan
from services.provisioner.domain import Hold
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Routes, View

Reader = Annotated[Principal, requires("bindings:read")]


class PlannedCallView(View):
    """A request that changes something, as it would be sent; what is in braces is known only then."""

    request: str = Field(
        description="Method and path, or the name that the API has for it.",
        examples=["PATCH /mgmt/tm/ltm/profile/client-ssl/~Common~shop", "acm:ImportCertificate"],
    )
    about: str | None = Field(description="What it makes or changes, where the path does not say.")
    when: str | None = Field(description="It is sent only then; empty for always.")


class PlannedStepView(View):
    """One thing that would be done."""

    step: str = Field(
        description="The name that the deployment's report will have for it.", examples=["swap"]
    )
    text: str
    files: list[str] = Field(description="What is written or replaced.")
    command: str | None = Field(description="What is run, as it is run.", examples=["sudo -n nginx -t"])
    calls: list[PlannedCallView] = Field(
        description="What is asked of an API, in this order; what only reads is left out."
    )


class SlotPlanView(View):
    """What would be done in one slot."""

    binding_id: str
    target_id: str
    target: str
    slot: str
    position: int = Field(description="In the order of the lineage, from 1.")
    wave: int = Field(
        description="0 are the canaries, 1 is the share, 2 the rest; 0 without a rollout policy."
    )
    after: list[str] = Field(description="The slots that come first.")
    approval_rules: list[str] = Field(
        description="By name: people have to agree to it first, as `/v1/approval-rules` says."
    )
    begins_at: datetime = Field(
        description="The first instant that windows and freezes allow, as they are now."
    )
    held_by: Hold | None = Field(description="What stands in the way until then.")
    hold_reason: str | None
    watch: int | None = Field(
        description="Seconds that it is watched; empty for as long as the settings say."
    )
    steps: list[PlannedStepView]
    endpoints: list[str] = Field(description="What must serve the certificate in the end.")
    obstacles: list[str]


class PlanView(View):
    """What would be done for a lineage, in its order. Nothing is changed, and nothing is connected to."""

    lineage_id: str
    order_id: str | None = Field(description="Of the certificate; empty where the first is still to come.")
    fingerprint: str | None
    approvals_needed: int
    soak: int | None = Field(description="Seconds between two waves.")
    slots: list[SlotPlanView]


def plan_routes(plans: Plans, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1")

    @routes.get("/plans/{lineage_id}", summary="Show what would be done in all slots of a lineage")
    async def get_plan(
        caller: Reader,
        lineage_id: str,
        order_id: Annotated[str | None, Query(max_length=100)] = None,
    ) -> PlanView:
        plan = await plans.of_lineage(lineage_id, order_id=order_id, caller=caller, now=clock())
        return _shown(plan)

    @routes.get("/bindings/{binding_id}/plan", summary="Show what would be done in one slot")
    async def get_binding_plan(caller: Reader, binding_id: str) -> PlanView:
        return _shown(await plans.of_binding(binding_id, caller=caller, now=clock()))

    return routes


def _shown(plan: Plan) -> PlanView:
    policy, latest = plan.policy, plan.latest
    return PlanView(
        lineage_id=plan.lineage_id,
        order_id=latest.order_id if latest is not None else None,
        fingerprint=latest.fingerprint if latest is not None else None,
        approvals_needed=policy.approvals_needed if policy is not None else 0,
        soak=policy.soak if policy is not None else None,
        slots=[_slot(each, watch=policy.watch if policy is not None else None) for each in plan.slots],
    )


def _slot(plan: SlotPlan, *, watch: int | None) -> SlotPlanView:
    return SlotPlanView(
        binding_id=plan.binding.id,
        target_id=plan.binding.target_id,
        target=plan.target,
        slot=plan.binding.slot_key,
        position=plan.position,
        wave=plan.wave,
        after=list(plan.after),
        approval_rules=list(plan.approval_rules),
        begins_at=plan.opens.at,
        held_by=plan.opens.hold,
        hold_reason=plan.opens.reason,
        watch=watch,
        steps=[PlannedStepView.model_validate(each) for each in plan.steps],
        endpoints=list(plan.endpoints),
        obstacles=list(plan.obstacles),
    )
