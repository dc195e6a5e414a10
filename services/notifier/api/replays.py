"""The route by which a channel is sent again what it has missed."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from services.notifier.actions.deliveries import Deliveries
from shared.access import Principal, requires
from shared.clock import Clock, Moment
from shared.http import Body, Routes, View

Writer = Annotated[Principal, requires("deliveries:write")]


class ReplayBody(Body):
    """From when on."""

    since: Moment = Field(examples=["2026-11-23T00:00:00Z"])
    include_delivered: bool = Field(
        False, description="Also what the other side has taken: it gets that a second time."
    )


class ReplayView(View):
    """What is on its way again."""

    count: int
    since: datetime


def replay_routes(deliveries: Deliveries, *, clock: Clock) -> Routes:
    """Build the route."""
    routes = Routes(prefix="/v1/channels")

    @routes.post("/{channel_id}/replay", status_code=202, summary="Send again what a channel has missed")
    async def replay_channel(caller: Writer, channel_id: str, body: ReplayBody) -> ReplayView:
        count = await deliveries.replay(
            channel_id,
            since=body.since,
            include_delivered=body.include_delivered,
            caller=caller,
            now=clock(),
        )
        return ReplayView(count=count, since=body.since)

    return routes
