"""The routes of private keys: given out sealed, and never without a record."""

import base64
from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import Field

from services.renewal.actions.keys import Keys
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Body, Page, Paging, Routes, View, of_query

Releaser = Annotated[Principal, requires("keys:release")]
Auditor = Annotated[Principal, requires("keys:audit")]
AllPages = Annotated[Paging, of_query(Paging)]


class KeyReleaseBody(Body):
    """What the key is for."""

    deployment_id: str = Field(
        min_length=1, max_length=100, examples=["01890a5d-ac96-774b-bcce-b302099a8057"]
    )


class SealedKey(View):
    """A private key (PKCS#8 in PEM), by HPKE (RFC 9180) for the caller's key alone."""

    sealed_key: str = Field(description="base64; the purpose is `everleaf private key ORDER DEPLOYMENT`.")


class KeyReleaseView(View):
    """Who was given a private key, when, and for what."""

    id: str
    order_id: str
    deployment_id: str
    principal: str
    released_at: datetime
    trace_id: str
    is_repeat: bool = Field(description="Whether the same deployment had got it before.")


def key_routes(keys: Keys, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1")

    @routes.post(
        "/orders/{order_id}/key-releases", summary="Release a private key to a deployment", status_code=201
    )
    async def release_key(caller: Releaser, order_id: str, body: KeyReleaseBody) -> SealedKey:
        sealed = await keys.release(order_id, deployment_id=body.deployment_id, caller=caller, now=clock())
        return SealedKey(sealed_key=base64.b64encode(sealed).decode())

    @routes.get("/key-releases", summary="List who was given which private key")
    async def list_key_releases(
        caller: Auditor,
        paging: AllPages,
        order_id: Annotated[str | None, Query(max_length=36)] = None,
    ) -> Page[KeyReleaseView]:
        after = paging.after[0] if paging.after else None
        rows = await keys.page(after=after, limit=paging.limit, caller=caller, order_id=order_id)
        return paging.page([KeyReleaseView.model_validate(row) for row in rows], key=lambda view: [view.id])

    return routes
