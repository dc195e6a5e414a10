"""The routes of proposals: what configurations use, ready to be bound."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import Query, Request
from pydantic import Field, JsonValue, model_validator

from services.provisioner.actions.proposals import Acceptance, Asked, HostTarget, Proposals, Proposed
from services.provisioner.api.bindings import BindingView
from services.provisioner.api.targets import CREDENTIAL, HOST, HOST_KEY, PORT, USERNAME
from services.provisioner.connectors.wire import Endpoint
from services.provisioner.domain.proposals import State
from shared.access import Principal, requires
from shared.clock import Clock
from shared.events.discovery import ConfiguredUse
from shared.http import Body, Page, Paging, Routes, View, of_query
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("bindings:read")]
Writer = Annotated[Principal, requires("bindings:write")]
AllPages = Annotated[Paging, of_query(Paging)]
_COMMAND = Field(None, min_length=1, max_length=2000, description="Left out, the proposal's own.")


class HostTargetBody(Body):
    """A target that is made known along with the binding: how the host is logged into to change it."""

    name: str | None = Field(None, min_length=1, max_length=200, description="Left out, the host's.")
    kind: str = Field("files", max_length=50)
    host: Annotated[str | None, HOST] = Field(None, description="Left out, the one that the source has.")
    port: Annotated[int, PORT] = 22
    username: Annotated[str, USERNAME]
    host_key: Annotated[str, HOST_KEY]
    credential: Annotated[dict[str, JsonValue] | None, CREDENTIAL] = None
    credential_of: str | None = Field(
        None,
        max_length=36,
        description="In place of a credential: the target whose credential this one takes too.",
    )
    options: dict[str, JsonValue] = Field({}, examples=[{"command_prefix": "sudo -n"}])

    @model_validator(mode="after")
    def _has_one_credential(self) -> Self:
        if (self.credential is None) == (self.credential_of is None):
            msg = "give either credential or credential_of"
            raise ValueError(msg)
        return self


class AcceptanceBody(Body):
    """Nothing need be said: what is left out is as the proposal says."""

    target_id: str | None = Field(
        None,
        max_length=36,
        description="Left out, a target that is reached under the name or address that the source has for the host.",
    )
    target: HostTargetBody | None = Field(
        None, description="A new target for the host, in place of one that is known; needs `targets:write`."
    )
    lineage_id: str | None = Field(
        None, min_length=1, max_length=100, description="Left out, that of the certificate in the file."
    )
    test_command: Annotated[str | None, _COMMAND] = None
    reload_command: Annotated[str | None, _COMMAND] = None
    endpoints: list[Endpoint] | None = Field(
        None, min_length=1, max_length=100, description="Left out, what the configuration lets listen."
    )
    deploy_now: bool = Field(True, description="Whether the lineage's latest certificate goes there at once.")

    @model_validator(mode="after")
    def _names_one_target(self) -> Self:
        if self.target is not None and self.target_id is not None:
            msg = "give either target or target_id"
            raise ValueError(msg)
        return self


class EndpointView(View):
    """An endpoint that will be looked at after a deployment."""

    address: str
    port: int
    server_name: str | None
    starttls: str | None


class ProposalView(View):
    """A certificate file of a host, what its configuration uses it for, and the binding that it can become."""

    id: str
    state: State
    is_ready: bool = Field(description="Whether it can be accepted.")
    reason: str | None = Field(description="Why it cannot.")
    host: str = Field(examples=["web-1.example.com"])
    products: list[str] = Field(examples=[["nginx"]])
    fingerprint: str
    format: str
    owner: str | None = Field(description="Whose the file is; it stays so.")
    group: str | None
    mode: int | None = Field(description="Permission bits; they stay so.", examples=[420])
    certificate_path: str
    key_path: str | None = Field(description="Empty where the key is in the same file as the certificates.")
    key_first: bool = Field(description="Whether the key comes before the certificates there.")
    chain_path: str | None = Field(description="Where the intermediates are in a file of their own.")
    alias: str | None = Field(description="The entry's name, where it is a keystore.")
    test_command: str | None = Field(examples=["nginx -t"])
    reload_command: str | None = Field(examples=["nginx -s reload"])
    target_kind: str | None = Field(
        description="Of a device: the kind of target that changes it. Empty for files on a host."
    )
    slot: dict[str, JsonValue] | None = Field(
        description="Of a device: the slot, in place of files.",
        examples=[{"profile": "/Common/shop-clientssl"}],
    )
    endpoints: list[EndpointView]
    uses: list[ConfiguredUse] = Field(description="Where the configuration says so.")
    observed_at: datetime = Field(description="When it was first told to be as it is now.")
    binding_id: str | None = Field(description="The binding that has this slot, where you see it.")
    lineage_id: str | None = Field(description="That binding's.")


def proposal_routes(proposals: Proposals, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/proposals")

    @routes.get("", summary="List what configurations use, ready to be bound")
    async def list_proposals(
        caller: Reader,
        paging: AllPages,
        *,
        host: Annotated[str | None, Query(max_length=253)] = None,
        product: Annotated[str | None, Query(max_length=50, pattern=r"^[a-z0-9-]+$")] = None,
        fingerprint: Annotated[str | None, Query(max_length=64)] = None,
        lineage_id: Annotated[str | None, Query(max_length=100, description="Of the binding.")] = None,
        state: State | None = None,
        is_ready: bool | None = None,
    ) -> Page[ProposalView]:
        asked = Asked(
            host=host,
            product=product,
            fingerprint=fingerprint,
            lineage_id=lineage_id,
            state=state,
            is_ready=is_ready,
        )
        after = paging.after[0] if paging.after else None
        rows = await proposals.page(asked, after=after, limit=paging.limit, caller=caller)
        return paging.page([_view(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{proposal_id}", summary="Show a proposal")
    async def get_proposal(caller: Reader, proposal_id: str) -> ProposalView:
        return _view(await proposals.get(proposal_id, caller=caller))

    @routes.post("/{proposal_id}/accept", summary="Make the binding", status_code=201)
    async def accept_proposal(
        caller: Writer,
        request: Request,
        proposal_id: str,
        body: AcceptanceBody | None = None,
        key: IdempotencyKey = None,
    ) -> BindingView:
        said = body or AcceptanceBody()

        async def accept() -> BindingView:
            given = {name: getattr(said, name) for name in AcceptanceBody.model_fields}
            if said.target is not None:
                described = {name: getattr(said.target, name) for name in HostTargetBody.model_fields}
                given["target"] = HostTarget(**described)
            acceptance = Acceptance(**given)
            binding = await proposals.accept(proposal_id, acceptance, caller=caller, now=clock())
            return BindingView.model_validate(binding)

        return await once.run(request, key=key, caller=caller, body=said, view=BindingView, create=accept)

    return routes


def _view(found: Proposed) -> ProposalView:
    row, held, plan = found.row, found.held, found.plan
    binding = found.binding if found.binding is not None and found.binding.is_seen else None
    return ProposalView(
        id=row.id,
        state=found.state,
        is_ready=row.obstacle is None and row.gone_at is None,
        reason=row.obstacle,
        host=row.host,
        products=[name for name in row.products.split(",") if name],
        fingerprint=row.fingerprint,
        format=held.format,
        owner=held.owner,
        group=held.group,
        mode=held.mode,
        certificate_path=plan.certificate_path,
        key_path=plan.key_path,
        key_first=plan.key_first,
        chain_path=plan.chain_path,
        alias=plan.alias,
        test_command=plan.test_command,
        reload_command=plan.reload_command,
        target_kind=plan.device.kind if plan.device else None,
        slot=dict(plan.device.slot) if plan.device else None,
        endpoints=[EndpointView.model_validate(each) for each in plan.endpoints],
        uses=held.uses,
        observed_at=row.observed_at,
        binding_id=binding.binding_id if binding else None,
        lineage_id=binding.lineage_id if binding else None,
    )
