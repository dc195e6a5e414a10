"""The route of the bill of cryptographic materials."""

from typing import Annotated

from fastapi import Query
from fastapi.responses import StreamingResponse

from services.inventory.actions.cbom import Cbom
from services.inventory.domain.cbom import MEDIA_TYPE, Spec
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Routes

Reader = Annotated[Principal, requires("certificates:read")]


def cbom_routes(cbom: Cbom, *, clock: Clock) -> Routes:
    """Build the route."""
    routes = Routes(prefix="/v1")

    @routes.get(
        "/cbom",
        summary="Export certificates, keys, algorithms and protocols as a CycloneDX CBOM",
        response_class=StreamingResponse,
        responses={
            200: {
                "description": "A CycloneDX document, streamed.",
                "content": {MEDIA_TYPE: {"schema": {"type": "object"}}},
            }
        },
    )
    async def get_cbom(
        caller: Reader,
        *,
        spec: Annotated[Spec, Query(description="The version of CycloneDX.")] = Spec.V1_7,
        query: Annotated[
            str | None,
            Query(max_length=10_000, description="Only certificates that fit it, in the query language."),
        ] = None,
    ) -> StreamingResponse:
        bill = cbom.bill(spec=spec, query=query, now=clock(), scope=caller.scope)
        return StreamingResponse(
            bill,
            media_type=f"{MEDIA_TYPE}; version={spec}",
            headers={"Content-Disposition": 'attachment; filename="certificates.cdx.json"'},
        )

    return routes
