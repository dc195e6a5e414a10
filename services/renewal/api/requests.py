"""The routes of requests that come from the target, where their keys stay."""

from typing import Annotated

from pydantic import Field

from services.renewal.actions.requests import Requests
from services.renewal.api.orders import OrderView
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Body, Routes

Bringer = Annotated[Principal, requires("requests:bring")]


class RequestBody(Body):
    """A certification request (PKCS#10) for exactly the names of the order."""

    csr: str = Field(
        min_length=1,
        max_length=32_768,
        description="In PEM, signed by a new key of the profile's kind, which stays on the target.",
    )


class RequestRefusalBody(Body):
    """Why there is no request."""

    reason: str = Field(min_length=1, max_length=2000)
    next_step: str = Field(min_length=1, max_length=1000, description="What a person can do about it.")
    is_final: bool = Field(
        description="Whether the order fails; if not, it is tried again until `renewal.request_wanted` expires."
    )


def request_routes(requests: Requests, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/orders")

    @routes.put(
        "/{order_id}/request", summary="Bring the request of a key made on the target", status_code=202
    )
    async def bring_request(caller: Bringer, order_id: str, body: RequestBody) -> OrderView:
        order = await requests.bring(order_id, body.csr, caller=caller, now=clock())
        return OrderView.model_validate(order)

    @routes.post(
        "/{order_id}/request-refusals", summary="Say that the target makes no request", status_code=202
    )
    async def refuse_request(caller: Bringer, order_id: str, body: RequestRefusalBody) -> OrderView:
        order = await requests.refuse(
            order_id,
            reason=body.reason,
            what_to_do=body.next_step,
            is_final=body.is_final,
            caller=caller,
            now=clock(),
        )
        return OrderView.model_validate(order)

    return routes
