"""The routes of bindings."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Header, Query, Request, Response
from pydantic import Field, JsonValue

from services.provisioner.actions.bindings import BindingChange, Bindings, NewBinding
from services.provisioner.connectors.wire import Endpoint
from services.provisioner.domain.drift import OnDrift
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Body, Page, Paging, Routes, View, etag, of_query
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("bindings:read")]
Writer = Annotated[Principal, requires("bindings:write")]
AllPages = Annotated[Paging, of_query(Paging)]
BindingId = Annotated[str, Field(max_length=36)]
IfMatch = Annotated[str | None, Header()]
_ON_DRIFT = (
    "What is done where somebody else has put another certificate there: tell, or put it right as well."
)


class BindingBody(Body):
    """A lineage, and the slot of a target that it belongs in."""

    lineage_id: str = Field(min_length=1, max_length=100, examples=["01890a5d-ac96-774b-bcce-b302099a8057"])
    target_id: str = Field(max_length=36, examples=["01890a5d-ac96-774b-bcce-b302099a8058"])
    slot: dict[str, JsonValue] = Field(
        description="Where in the target; GET /v1/target-kinds says what each kind takes.",
        examples=[{"certificate_path": "/etc/nginx/tls/shop.pem", "key_path": "/etc/nginx/tls/shop.key"}],
    )
    endpoints: list[Endpoint] = Field(
        min_length=1,
        max_length=100,
        description="What serves the certificate from there: it counts as deployed when all were seen to.",
    )
    deploy_now: bool = Field(True, description="Whether the lineage's latest certificate goes there at once.")
    after: list[BindingId] = Field(
        [], max_length=100, description="Bindings of the same lineage that come first: a load balancer, say."
    )
    on_drift: OnDrift = Field(OnDrift.ALERT, description=_ON_DRIFT)


class BindingChangeBody(Body):
    """What is to be changed; what is left out stays."""

    after: list[BindingId] | None = Field(None, max_length=100)
    on_drift: OnDrift | None = Field(None, description=_ON_DRIFT)


class BindingView(View):
    """A binding."""

    id: str
    lineage_id: str
    target_id: str
    slot: dict[str, Any]
    endpoints: list[Endpoint]
    after: list[str] = Field(description="Bindings of the same lineage that come first.")
    on_drift: OnDrift
    version: int = Field(description="Send it back as `If-Match` with a change.")
    fingerprint: str | None = Field(description="The certificate that was last seen there by our doing.")
    deployed_at: datetime | None
    drift: dict[str, str] | None = Field(description="Where another certificate was seen, and which.")
    drifted_at: datetime | None
    created_at: datetime
    created_by: str


def binding_routes(bindings: Bindings, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/bindings")

    @routes.post("", summary="Bind a lineage to a slot of a target", status_code=201)
    async def create_binding(
        caller: Writer, request: Request, body: BindingBody, key: IdempotencyKey = None
    ) -> BindingView:
        async def create() -> BindingView:
            new = NewBinding(**{name: getattr(body, name) for name in BindingBody.model_fields})
            return BindingView.model_validate(await bindings.create(new, caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=BindingView, create=create)

    @routes.get("", summary="List bindings")
    async def list_bindings(
        caller: Reader,
        paging: AllPages,
        lineage_id: Annotated[str | None, Query(max_length=100)] = None,
        target_id: Annotated[str | None, Query(max_length=36)] = None,
    ) -> Page[BindingView]:
        after = paging.after[0] if paging.after else None
        rows = await bindings.page(
            lineage_id=lineage_id, target_id=target_id, after=after, limit=paging.limit, caller=caller
        )
        return paging.page([BindingView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{binding_id}", summary="Show a binding")
    async def get_binding(caller: Reader, binding_id: str, response: Response) -> BindingView:
        row = await bindings.get(binding_id, caller=caller)
        response.headers["ETag"] = etag(row.version)
        return BindingView.model_validate(row)

    @routes.patch("/{binding_id}", summary="Change what comes before a binding, or what is done on drift")
    async def change_binding(
        caller: Writer, binding_id: str, body: BindingChangeBody, response: Response, if_match: IfMatch = None
    ) -> BindingView:
        row = await bindings.change(
            binding_id,
            BindingChange(after=body.after, on_drift=body.on_drift),
            if_match=if_match,
            caller=caller,
            now=clock(),
        )
        response.headers["ETag"] = etag(row.version)
        return BindingView.model_validate(row)

    @routes.delete("/{binding_id}", summary="Take a binding back; what is in place stays", status_code=204)
    async def delete_binding(caller: Writer, binding_id: str) -> None:
        await bindings.delete(binding_id, caller=caller, now=clock())

    return routes
