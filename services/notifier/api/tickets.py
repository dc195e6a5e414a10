"""Routes on tickets: what outside systems have of alerts."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import Field

from services.notifier.actions.tickets import Tickets
from services.notifier.domain.tickets import TicketState
from shared.access import Principal, requires
from shared.http import Page, Paging, Routes, View, of_query

Reader = Annotated[Principal, requires("tickets:read")]


class TicketView(View):
    """What is kept of an alert beyond a channel."""

    alert_id: str
    channel_id: str
    key: str = Field(description="What people there call it.", examples=["INC0010023"])
    link: str | None
    state: TicketState
    words: str | None = Field(description="What that state is called there, once it was looked at.")
    opened_at: datetime
    updated_at: datetime


def ticket_routes(tickets: Tickets) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/tickets")

    @routes.get("", summary="List tickets, the newest alert's first")
    async def list_tickets(
        caller: Reader,
        paging: Annotated[Paging, of_query(Paging)],
        alert_id: Annotated[str | None, Query(max_length=36)] = None,
        channel_id: Annotated[str | None, Query(max_length=36)] = None,
        state: Annotated[TicketState | None, Query()] = None,
    ) -> Page[TicketView]:
        wanted = {"alert_id": alert_id, "channel_id": channel_id, "state": state}
        only = {name: str(value) for name, value in wanted.items() if value is not None}
        after = paging.after_parts(2) or []
        rows = await tickets.page(only=only, after=after, limit=paging.limit, caller=caller)
        views = [TicketView.model_validate(row) for row in rows]
        return paging.page(views, key=lambda view: [view.alert_id, view.channel_id])

    return routes
