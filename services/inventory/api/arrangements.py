"""The routes of arrangements: how the caller has arranged a page."""

from typing import Annotated

from fastapi import Path
from pydantic import Field

from services.inventory.actions.arrangements import Arrangements
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Body, Routes, View

# Also to keep one: it is the caller's own, changes nothing for anybody else, and viewers arrange too.
Reader = Annotated[Principal, requires("arrangements:read")]
Name = Annotated[str, Path(max_length=50, pattern=r"^[a-z][a-z-]*$", examples=["overview"])]


class Card(Body):
    """One card of a page."""

    id: str = Field(max_length=50, pattern=r"^[a-z][a-z-]*$", examples=["alerts"])
    width: int = Field(6, ge=1, le=12, description="In twelfths of the page.")
    is_hidden: bool = False


class ArrangementBody(Body):
    """The cards of a page, in their order; none for the page as it comes."""

    cards: list[Card] = Field(max_length=50)


class ArrangementView(View):
    """How a page is arranged."""

    cards: list[Card] = Field(description="In their order; none where the page is as it comes.")


def arrangement_routes(arrangements: Arrangements, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/arrangements")

    @routes.get("/{name}", summary="Show how you have arranged a page")
    async def get_arrangement(caller: Reader, name: Name) -> ArrangementView:
        return ArrangementView.model_validate({"cards": await arrangements.get(name, caller=caller)})

    @routes.put("/{name}", summary="Arrange a page as you like it")
    async def put_arrangement(caller: Reader, name: Name, body: ArrangementBody) -> ArrangementView:
        cards = [card.model_dump() for card in body.cards]
        await arrangements.keep(name, cards, caller=caller, now=clock())
        return ArrangementView(cards=body.cards)

    return routes
