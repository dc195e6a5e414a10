"""Routes on deliveries: what went through which channel, and another try for what did not."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import Field

from services.notifier.actions.deliveries import Deliveries
from services.notifier.domain.deliveries import DeliveryState
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Page, Paging, Routes, View, of_query

Reader = Annotated[Principal, requires("deliveries:read")]
Writer = Annotated[Principal, requires("deliveries:write")]


class DeliveryView(View):
    """One turn of an alert, or a digest of many, on its way through one channel."""

    id: str = Field(examples=["0191d7a2-8f4e-7c3b-9d5e-1f2a3b4c5d6e"])
    alert_id: str | None = Field(description="Empty where it is a digest of many.")
    number: int = Field(description="The turn of the alert, as its history numbers it.")
    channel_id: str
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None
    answer: str | None = Field(description="What the other side said when it took it.")
    last_error: str | None
    is_own: bool = Field(description="To the recipients that the channel's options name.")
    addressed: list[str] = Field(description="And to these contacts of a team.")
    digest_id: str | None = Field(description="The delivery that tells it together with others.")
    told: list[str] = Field(description="Recipients that have it, where the channel has several.")
    refused: dict[str, str] = Field(description="Recipients that were refused for good, and why.")
    created_at: datetime
    delivered_at: datetime | None


def delivery_routes(deliveries: Deliveries, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/deliveries")

    @routes.get("", summary="List deliveries, newest first")
    async def list_deliveries(
        caller: Reader,
        paging: Annotated[Paging, of_query(Paging)],
        state: Annotated[DeliveryState | None, Query()] = None,
        channel_id: Annotated[str | None, Query(max_length=36)] = None,
        alert_id: Annotated[str | None, Query(max_length=36)] = None,
    ) -> Page[DeliveryView]:
        wanted = {"state": state, "channel_id": channel_id, "alert_id": alert_id}
        only = {name: str(value) for name, value in wanted.items() if value is not None}
        after = next(iter(paging.after or ()), None)
        rows = await deliveries.page(only=only, after=after, limit=paging.limit, caller=caller)
        return paging.page([DeliveryView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.post("/{delivery_id}/retry", status_code=202, summary="Try a delivery again, now")
    async def retry_delivery(caller: Writer, delivery_id: str) -> DeliveryView:
        return DeliveryView.model_validate(await deliveries.retry(delivery_id, caller=caller, now=clock()))

    return routes
