"""The routes of rollout policies."""

from datetime import datetime
from typing import Annotated

from fastapi import Header, Response
from pydantic import Field

from services.provisioner.actions.policies import Policies, Policy
from shared.access import ROLES, Principal, requires
from shared.clock import Clock
from shared.errors import Invalid
from shared.http import Body, Page, Paging, Routes, View, etag, of_query

Reader = Annotated[Principal, requires("rollout-policies:read")]
Writer = Annotated[Principal, requires("rollout-policies:write")]
AllPages = Annotated[Paging, of_query(Paging)]
IfMatch = Annotated[str | None, Header()]
Name = Annotated[str, Field(min_length=1, max_length=100)]


class PolicyBody(Body):
    """How the certificates of a lineage go out: first to a few, then to a share, then to the rest."""

    canaries: int = Field(1, ge=0, le=1000, description="How many slots come first, and are watched alone.")
    share: int = Field(
        25, ge=0, le=100, description="In %, of all slots: so many have it after the second wave."
    )
    soak: int = Field(300, ge=0, le=30 * 86400, description="Seconds to wait after a wave before the next.")
    stop_after: int = Field(1, ge=1, le=1000, description="So many failures stop it, until a person says.")
    watch: int = Field(60, ge=0, le=86400, description="Seconds that each is watched once it is in place.")
    approvals_needed: int = Field(
        0,
        ge=0,
        le=10,
        description="How many people, none of whom has a part in it, must agree to each rollout.",
    )
    approver_groups: list[Name] = Field([], max_length=50, description="In one of these; none: in any.")
    approver_roles: list[Name] = Field([], max_length=50, description="With one of these; none: with any.")


class PolicyView(View):
    """A rollout policy."""

    lineage_id: str
    canaries: int
    share: int
    soak: int
    stop_after: int
    watch: int
    approvals_needed: int
    approver_groups: list[str]
    approver_roles: list[str]
    version: int = Field(description="Send it back as `If-Match` with a change.")
    updated_at: datetime
    updated_by: str


def policy_routes(policies: Policies, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/rollout-policies")

    @routes.get("", summary="List rollout policies")
    async def list_policies(caller: Reader, paging: AllPages) -> Page[PolicyView]:
        after = paging.after[0] if paging.after else None
        rows = await policies.page(after=after, limit=paging.limit, caller=caller)
        return paging.page(
            [PolicyView.model_validate(row) for row in rows], key=lambda view: [view.lineage_id]
        )

    @routes.get("/{lineage_id}", summary="Show how the certificates of a lineage go out")
    async def get_policy(caller: Reader, lineage_id: str, response: Response) -> PolicyView:
        row = await policies.get(lineage_id, caller=caller)
        response.headers["ETag"] = etag(row.version)
        return PolicyView.model_validate(row)

    @routes.put("/{lineage_id}", summary="Say how the next certificates of a lineage go out")
    async def put_policy(
        caller: Writer, lineage_id: str, body: PolicyBody, response: Response, if_match: IfMatch = None
    ) -> PolicyView:
        check_roles(body.approver_roles)
        policy = Policy(**body.model_dump())
        row = await policies.put(lineage_id, policy, if_match=if_match, caller=caller, now=clock())
        response.headers["ETag"] = etag(row.version)
        return PolicyView.model_validate(row)

    @routes.delete("/{lineage_id}", summary="Let certificates go out at once, everywhere", status_code=204)
    async def delete_policy(caller: Writer, lineage_id: str) -> None:
        await policies.delete(lineage_id, caller=caller)

    return routes


def check_roles(roles: list[str]) -> None:
    """Raise `Invalid` where there is no such role."""
    unknown = sorted(set(roles) - set(ROLES))
    if unknown:
        raise Invalid(f"There is no role {unknown[0]!r}.", next_step=f"Choose among {', '.join(ROLES)}.")
