"""The routes by which a channel is sent what it has missed: again, or for the first time."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from services.notifier.actions.catching_up import CatchingUp
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


class CatchUpView(View):
    """What is on its way for the first time."""

    count: int = Field(description="Alerts that are told through the channel now.")


def replay_routes(deliveries: Deliveries, catching_up: CatchingUp, *, clock: Clock) -> Routes:
    """Build the routes."""
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

    @routes.post(
        "/{channel_id}/catch-up",
        status_code=202,
        summary="Tell a channel of what is open already",
        description="A channel hears of what happens once it is there. This tells it of the open alerts that it has heard "
        "nothing of, where a rule names it: but of none that somebody has acknowledged, put off or muted. "
        "To ask it twice tells nothing twice.",
    )
    async def catch_up_channel(caller: Writer, channel_id: str) -> CatchUpView:
        return CatchUpView(count=await catching_up.catch_up(channel_id, caller=caller, now=clock()))

    return routes
