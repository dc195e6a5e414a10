"""How a service reacts to events: a table of payload → handler, each effect exactly once.

A handler writes rows (and emits events) in the transaction it is given and does nothing else:
what needs the outside world becomes a row that a worker picks up. The inbox row of the event is
written in the same transaction, so a repeated delivery finds it and has no second effect.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, NamedTuple, TypeVar, cast

import anyio
import sqlalchemy as sa
import structlog
from pydantic import ValidationError

from shared.acting import Acting, acting_as
from shared.bus import DEFAULT_BACKOFF, Bus, Delivery, Message, Outcome, Queue, Verdict
from shared.clock import Clock
from shared.errors import Unavailable
from shared.events import Event, Payload
from shared.service import backoff
from shared.store import Database, Transaction, insert, is_away
from shared.store.parameters import table_of
from shared.store.plumbing import INBOX
from shared.telemetry import EVENTS_AGE, EVENTS_HANDLED, EVENTS_PROCESSED
from shared.trace import Attributes, Kind, following, following_each

log = structlog.get_logger(__name__)
P = TypeVar("P", bound=Payload)
DONE = Outcome(verdict=Verdict.DONE)
PATIENCE = timedelta(minutes=20)
"""How long events wait for their database; RabbitMQ takes back what is not acknowledged within half an hour."""


@dataclass(frozen=True)
class Reaction(Generic[P]):
    """One line of a service's table: on events with this payload, do this."""

    payload: type[P]
    handle: Callable[[Transaction, Event[P]], Awaitable[None]]
    handle_usual: "Several[P] | None" = None
    """Deals at once with all that is usual, and returns the events that are left for `handle`."""
    absorb: "Several[P] | None" = None
    """Deals at once with what comes to the same however often it comes, and returns the events that are left.

    What is dealt with here is not noted in the inbox, which would cost more than dealing with it, and has a transaction
    of its own before that of the rest.
    """
    foresee: Callable[[Sequence[Event[P]]], Awaitable[None]] | None = None
    """Works out ahead what it can without the database, while that is busy with the events before these.

    It lets others go on often, is cut off when the events' turn comes, and never raises.
    """
    hear: Callable[[Event[P]], None] | None = None
    """Works out what an event says as soon as it has come; it asks nobody. Where it fails, so will what takes the event in, and tell it."""


Several = Callable[[Transaction, Sequence[Event[P]]], Awaitable[Sequence[Event[P]]]]


class Reactor:
    """Consumes a service's queue and runs its reactions, many events to a transaction."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        reactions: Sequence[Reaction[Any]],
        *,
        clock: Clock,
        backoff: tuple[timedelta, ...] = DEFAULT_BACKOFF,
        batch: int = 200,
        at_once: int | None = None,
        abreast: int = 1,
        before: Callable[[Transaction, Sequence[Event[Any]]], Awaitable[None]] | None = None,
    ) -> None:
        """`batch` is how many events are taken from the bus together at most, and absorbed together.

        `at_once` is how many of the rest are taken into one transaction, where that is fewer, and `abreast` how many of
        those are under way together. `before` is shown all the events of one before their reactions are, and holds what
        they bear upon: the next transaction does so after it. An event that comes again is shown again.
        """
        self._batch = batch
        self._at_once = at_once or batch
        self._abreast = abreast
        self._before = before
        self._database = database
        self._bus = bus
        self._clock = clock
        self._reactions = {reaction.payload.type: reaction for reaction in reactions}
        self.queue = Queue(name=f"{database.source}.events", types=tuple(self._reactions), backoff=backoff)

    async def run(self) -> None:
        """React until cancelled."""
        await self._bus.consume(self.queue, self.handle, batch=self._batch, reader=self.read)

    def read(self, message: Message) -> Event[Any] | ValidationError | None:
        """Return the event that a message holds, or why it holds none; None where there is no reaction to its type."""
        reaction = self._reactions.get(message.type)
        if reaction is None:  # the queue was bound to this type by an earlier version
            return None
        try:
            event = Event.parse(message.body, reaction.payload)
        except ValidationError as error:
            return error
        if reaction.hear is not None:
            with suppress(Exception):  # nothing that an event says may end the connection it comes by
                reaction.hear(event)
        return event

    async def handle(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """Handle a batch in few transactions; what is in one that fails as a whole, one by one."""
        began = time.perf_counter()
        outcomes = [DONE] * len(deliveries)
        left = await self._absorbed(self._arrivals(deliveries, outcomes))
        await self._in_turn(
            [left[start : start + self._at_once] for start in range(0, len(left), self._at_once)], outcomes
        )
        EVENTS_PROCESSED.labels(self._database.source, self.queue.name).observe(time.perf_counter() - began)
        handled = zip(deliveries, outcomes, strict=True)
        counts = Counter((delivery.message.type, outcome.verdict) for delivery, outcome in handled)
        for (kind, verdict), count in counts.items():
            EVENTS_HANDLED.labels(self._database.source, kind, verdict.value).inc(count)
        return outcomes

    def _arrivals(self, deliveries: Sequence[Delivery], outcomes: list[Outcome]) -> list["_Arrival"]:
        """Return the events that can be read, each once, and say of the others that they are dead."""
        arrived: dict[str, _Arrival] = {}
        for number, delivery in enumerate(deliveries):
            type_, read = delivery.message.type, delivery.read or self.read(delivery.message)
            if isinstance(read, ValidationError):
                reason = f"not a valid {type_}: {read}"
                outcomes[number] = Outcome(verdict=Verdict.DEAD, reason=reason)
            elif read is not None:
                event = cast("Event[Any]", read)
                arrived.setdefault(event.id, _Arrival(number, self._reactions[type_], event, delivery))
        return list(arrived.values())

    async def _absorbed(self, arrivals: Sequence["_Arrival"]) -> Sequence["_Arrival"]:
        """Let reactions absorb what they can, and return the rest."""
        if not any(arrival.reaction.absorb for arrival in arrivals):
            return arrivals
        try:
            async with self._database.transaction() as tx:
                left = await self._rest_of(tx, arrivals, lambda reaction: reaction.absorb)
        except (sa.exc.DBAPIError, OSError) as error:
            log.warning("reaction.not_absorbed", exc_info=error, service=self._database.source)
            return arrivals
        others = {arrival.event.id for arrival in left}
        self._tell_age([arrival.event for arrival in arrivals if arrival.event.id not in others])
        return left

    async def _in_turn(self, sets: Sequence[Sequence["_Arrival"]], outcomes: list[Outcome]) -> None:
        """Take sets in, each in a transaction of its own: while one waits for the database another is worked on.

        Each holds what it bears upon after the one before it does, so that events about the same thing stay in their order.
        """
        room, has_held = asyncio.Semaphore(self._abreast), asyncio.Event()
        has_held.set()  # before the first is none

        async def take_in(arrivals: Sequence[_Arrival], has_held: asyncio.Event) -> None:
            try:
                await self._in_as_few_transactions_as_possible(arrivals, outcomes, has_held)
            finally:
                has_held.set()
                room.release()

        try:
            async with anyio.create_task_group() as tasks:
                for arrivals in sets:
                    async with self._foreseeing(arrivals):
                        await has_held.wait()
                        await room.acquire()
                    has_held = asyncio.Event()
                    tasks.start_soon(take_in, arrivals, has_held)
        except BaseExceptionGroup as group:  # who consumes knows what to do about what is in it
            raise group.exceptions[0] from group

    @asynccontextmanager
    async def _foreseeing(self, arrivals: Sequence["_Arrival"]) -> AsyncIterator[None]:
        """Let reactions foresee these events as long as the block waits for something."""
        ahead = asyncio.ensure_future(self._foresee(arrivals))
        try:
            yield
        finally:
            ahead.cancel()

    async def _foresee(self, arrivals: Sequence["_Arrival"]) -> None:
        for reaction in {arrival.reaction.payload: arrival.reaction for arrival in arrivals}.values():
            if reaction.foresee is not None:
                await reaction.foresee(
                    [arrival.event for arrival in arrivals if arrival.reaction is reaction]
                )

    async def _in_as_few_transactions_as_possible(
        self, arrivals: Sequence["_Arrival"], outcomes: list[Outcome], has_held: asyncio.Event
    ) -> None:
        try:
            await self._together(arrivals, outcomes, has_held)
        except (sa.exc.DBAPIError, OSError) as error:
            if is_away(error) and await self._has_returned():
                await self._in_as_few_transactions_as_possible(arrivals, outcomes, has_held)
                return
            if len(arrivals) == 1:
                outcomes[arrivals[0].number] = Outcome(verdict=Verdict.RETRY, reason=_reason(error))
                return
            for arrival in arrivals:
                outcomes[arrival.number] = DONE
                await self._in_as_few_transactions_as_possible([arrival], outcomes, has_held)

    async def _has_returned(self) -> bool:
        """Wait for a database that does not answer: that is no failure of the events, whose tries it would use up.

        False where it answers, so that it was something else, and where it stays away too long.
        """
        began, failures = time.monotonic(), 0
        while time.monotonic() - began < PATIENCE.total_seconds():
            try:
                await self._database.ready()
            except Unavailable as error:
                failures += 1
                log.warning("reaction.waits", service=self._database.source, error=str(error))
                await anyio.sleep(backoff(failures))
            else:
                return failures > 0
        return False

    async def _together(
        self, arrivals: Sequence["_Arrival"], outcomes: list[Outcome], has_held: asyncio.Event
    ) -> None:
        async with self._database.transaction() as tx:
            tx.after_commit(lambda: self._tell_age([arrival.event for arrival in arrivals]))
            first = await self._first(tx, sorted(arrival.event.id for arrival in arrivals))
            left = [arrival for arrival in arrivals if arrival.event.id in first]
            if self._before is not None:
                await self._before(tx, [arrival.event for arrival in left])
            has_held.set()
            for arrival in await self._rest_of(tx, left, lambda reaction: reaction.handle_usual):
                outcomes[arrival.number] = await self._one(tx, arrival)

    def _tell_age(self, events: Sequence[Event[Any]]) -> None:
        now, age = self._clock(), EVENTS_AGE.labels(self._database.source)
        for event in events:
            age.observe(max((now - event.time).total_seconds(), 0))

    async def _rest_of(
        self,
        tx: Transaction,
        arrivals: Sequence["_Arrival"],
        by: Callable[[Reaction[Any]], "Several[Any] | None"],
    ) -> Sequence["_Arrival"]:
        """Let reactions deal with several at once, and return the rest, in the order in which it came."""
        settled: set[str] = set()
        for reaction in {arrival.reaction.payload: arrival.reaction for arrival in arrivals}.values():
            deal = by(reaction)
            if deal is None:
                continue
            events = [arrival.event for arrival in arrivals if arrival.reaction is reaction]
            try:
                with self._in_their_traces(events):
                    async with tx.savepoint():
                        unusual = await deal(tx, events)
            except Exception as error:
                if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
                    raise
                log.warning("reaction.alone", exc_info=error, service=self._database.source)
            else:
                settled |= {event.id for event in events} - {event.id for event in unusual}
        return [arrival for arrival in arrivals if arrival.event.id not in settled]

    async def _one(self, tx: Transaction, arrival: "_Arrival") -> Outcome:
        event = arrival.event
        name, attributes = f"process {event.type}", self._told_of(event)
        with (
            following(event.traceparent, name=name, kind=Kind.CONSUMER, attributes=attributes),
            acting_as(Acting(cause=f"{event.type} {event.id}")),
        ):
            try:
                async with tx.savepoint():
                    await arrival.reaction.handle(tx, arrival.event)
            except sa.exc.DBAPIError as error:
                if error.connection_invalidated:  # nothing in this transaction can be kept
                    raise
                return await self._failed(tx, arrival, error)
            except Exception as error:  # noqa: BLE001 - whatever it was, it is tried again, then kept as a dead letter
                return await self._failed(tx, arrival, error)
        return DONE

    def _in_their_traces(self, events: Sequence[Event[Any]]) -> AbstractContextManager[None]:
        """Let what is said about the subject of one of these events be said in its trace."""
        headers = {event.subject: event.traceparent for event in events}
        name, attributes = f"process {events[0].type}", self._told_of(events[0])
        return following_each(headers, name=name, kind=Kind.CONSUMER, attributes=attributes)

    def _told_of(self, event: Event[Any]) -> Attributes:
        return {
            "messaging.operation.type": "process",
            "messaging.destination.name": self.queue.name,
            "everleaf.service": self._database.source,
            "everleaf.event.type": event.type,
        }

    async def _failed(self, tx: Transaction, arrival: "_Arrival", error: Exception) -> Outcome:
        """Say so, and forget that it came: it will come again."""
        log.error(
            "reaction.failed",
            exc_info=error,
            service=self._database.source,
            type=arrival.delivery.message.type,
            event_id=arrival.event.id,
            attempt=arrival.delivery.attempt,
        )
        mine = sa.and_(INBOX.c.queue == self.queue.name, INBOX.c.event_id == arrival.event.id)
        await tx.session.execute(sa.delete(INBOX).where(mine))
        return Outcome(verdict=Verdict.RETRY, reason=_reason(error))

    async def _first(self, tx: Transaction, event_ids: Sequence[str]) -> set[str]:
        """Note these events, and return those that were not noted before. One order, so that replicas do not lock each other."""
        if not event_ids:
            return set()
        now = self._clock()
        given = table_of(tx, {"event_id": sa.Text}, [(event_id,) for event_id in event_ids])
        rows = sa.select(
            sa.literal(self.queue.name), given.c.event_id, sa.literal(now, type_=INBOX.c.seen_at.type)
        ).where(sa.true())  # SQLite takes ON CONFLICT behind a SELECT for a join where no WHERE is between
        query = insert(tx, INBOX).from_select(["queue", "event_id", "seen_at"], rows)
        noted = await tx.session.scalars(query.on_conflict_do_nothing().returning(INBOX.c.event_id))
        return set(noted.all())


class _Arrival(NamedTuple):
    """An event of a batch, where in the batch it stands, whose it is, and how it came."""

    number: int
    reaction: Reaction[Any]
    event: Event[Any]
    delivery: Delivery


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:1000]
