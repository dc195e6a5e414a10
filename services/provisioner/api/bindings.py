"""The routes of bindings."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from pydantic import Field, JsonValue

from services.provisioner.actions.bindings import Bindings, NewBinding
from services.provisioner.connectors.wire import Endpoint
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Body, Page, Paging, Routes, View
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("bindings:read")]
Writer = Annotated[Principal, requires("bindings:write")]
AllPages = Annotated[Paging, Depends()]


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


class BindingView(View):
    """A binding."""

    id: str
    lineage_id: str
    target_id: str
    slot: dict[str, Any]
    endpoints: list[Endpoint]
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
    async def get_binding(caller: Reader, binding_id: str) -> BindingView:
        return BindingView.model_validate(await bindings.get(binding_id, caller=caller))

    @routes.delete("/{binding_id}", summary="Take a binding back; what is in place stays", status_code=204)
    async def delete_binding(caller: Writer, binding_id: str) -> None:
        await bindings.delete(binding_id, caller=caller, now=clock())

    return routes
