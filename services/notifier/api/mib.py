"""The route that gives the MIB module of our SNMP notifications."""

from typing import Annotated

from fastapi import Query
from fastapi.responses import PlainTextResponse

from services.notifier.connectors.snmp.mib import DOCUMENTATION, module
from shared.access import Principal, requires
from shared.http import Routes

Reader = Annotated[Principal, requires("channels:read")]


def mib_routes() -> Routes:
    """Build the route."""
    routes = Routes(prefix="/v1/snmp-mib")

    @routes.get(
        "",
        summary="Get EVERLEAF-MIB under your enterprise number",
        response_class=PlainTextResponse,
    )
    async def get_snmp_mib(
        caller: Reader,  # noqa: ARG001 - who may read channels may read what they send
        enterprise: Annotated[int, Query(ge=1, le=2**32 - 1)] = DOCUMENTATION,
    ) -> PlainTextResponse:
        headers = {"Content-Disposition": 'attachment; filename="EVERLEAF-MIB.txt"'}
        return PlainTextResponse(module(enterprise), headers=headers)

    return routes
