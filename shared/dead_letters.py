"""The routes every service has for its dead letters: look at them, put them back, throw them away."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import Field

from shared.access import Principal, requires
from shared.audit import Change
from shared.bus import Bus, DeadLetter, Queue
from shared.http import Body, Routes, View
from shared.store import Database

Reader = Annotated[Principal, requires("dead-letters:read", everything=True)]
Administrator = Annotated[Principal, requires("dead-letters:admin", everything=True)]


class DeadLetterView(View):
    """An event that was given up, and why."""

    id: str
    type: str
    attempts: int
    reason: str
    died_at: datetime
    body: str = Field(description="The CloudEvent, as JSON text.")

    @classmethod
    def of(cls, letter: DeadLetter) -> "DeadLetterView":
        """Show a dead letter."""
        return cls(
            id=letter.message.id,
            type=letter.message.type,
            attempts=letter.attempts,
            reason=letter.reason,
            died_at=letter.died_at,
            body=letter.message.body.decode(errors="replace"),
        )


class DeadLetters(View):
    """The oldest dead letters and how many there are."""

    total: int
    items: list[DeadLetterView]


class Redrive(Body):
    """Which dead letters to put back."""

    ids: list[str] | None = Field(None, description="Event ids; left out, all of them.")


class Discard(Body):
    """Which dead letters to throw away."""

    ids: list[str] = Field(min_length=1)


class Moved(View):
    """How many dead letters were moved."""

    count: int


def dead_letter_routes(bus: Bus, queue: Queue, database: Database) -> Routes:
    """Build the routes for one service's queue."""
    routes = Routes(prefix="/v1/dead-letters")

    @routes.get("", summary="List events that were given up")
    async def list_dead_letters(
        _caller: Reader, limit: Annotated[int, Query(ge=1, le=1000)] = 50
    ) -> DeadLetters:
        letters = await bus.dead_letters(queue, limit=limit)
        return DeadLetters(
            total=await bus.dead_letter_count(queue), items=[DeadLetterView.of(letter) for letter in letters]
        )

    @routes.post("/redrive", summary="Put dead letters back for another try")
    async def redrive_dead_letters(_caller: Administrator, body: Redrive) -> Moved:
        await _record(database, queue, "redriven", body.ids)
        return Moved(count=await bus.redrive(queue, body.ids))

    @routes.post("/discard", summary="Throw dead letters away")
    async def discard_dead_letters(_caller: Administrator, body: Discard) -> Moved:
        await _record(database, queue, "discarded", body.ids)
        return Moved(count=await bus.discard(queue, body.ids))

    return routes


async def _record(database: Database, queue: Queue, verb: str, ids: list[str] | None) -> None:
    """Have it on record before it is done: what is not kept is not done."""
    async with database.transaction() as tx:
        tx.record(Change(kind="dead_letters", verb=verb, id=queue.name, after={"ids": ids or "all"}))
