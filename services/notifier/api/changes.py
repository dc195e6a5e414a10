"""The route of those who look on: that something has changed is told as it happens, as server-sent events."""

from collections.abc import AsyncIterable
from datetime import timedelta
from typing import Annotated

from fastapi import Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from services.notifier.actions.changes import Changes
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Routes, View

Reader = Annotated[Principal, requires("changes:read")]
LONGEST = 60
"""Seconds after which a stream ends: what its reader may see is asked for anew with each."""


class ChangeView(View):
    """That something has happened. What is so now is asked for where it is, with the same rights."""

    type: str
    subject: str | None
    lineage_id: str | None


def change_routes(changes: Changes, *, clock: Clock) -> Routes:
    """Build the route."""
    routes = Routes(prefix="/v1")

    @routes.get(
        "/changes",
        response_class=EventSourceResponse,
        summary="Be told, as it happens, what has changed of what you may see",
        description="Server-sent events. `change` says of which kind (docs/events.md) and about what; `position` where the "
        "stream begins. It ends after `wait` seconds: come again with the id of the last as `Last-Event-ID`.",
    )
    async def follow_changes(
        caller: Reader,
        wait: Annotated[int, Query(ge=0, le=LONGEST, description="Seconds until the stream ends.")],
        last_event_id: Annotated[int | None, Header(ge=0, lt=2**63)] = None,
    ) -> AsyncIterable[ServerSentEvent]:
        following = changes.listen(
            after=last_event_id, wait=timedelta(seconds=wait), caller=caller, clock=clock
        )
        async for passed in following:
            if passed.heard is None:
                yield ServerSentEvent(event="position", id=str(passed.number), data={})
            else:
                view = ChangeView.model_validate(passed.heard)
                yield ServerSentEvent(event="change", id=str(passed.number), data=view)

    return routes
