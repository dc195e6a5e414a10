"""How a service reacts to events: a table of payload → handler, each effect exactly once.

A handler writes rows (and emits events) in the transaction it is given and does nothing else:
what needs the outside world becomes a row that a worker picks up. The inbox row of the event is
written in the same transaction, so a repeated delivery finds it and has no second effect.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
import structlog
from pydantic import ValidationError

from shared.bus import DEFAULT_BACKOFF, Bus, Delivery, Outcome, Queue, Verdict
from shared.clock import Clock
from shared.events import Event, Payload
from shared.store import Database, Transaction, insert
from shared.store.plumbing import INBOX
from shared.telemetry import EVENTS_HANDLED
from shared.trace import following

log = structlog.get_logger(__name__)
P = TypeVar("P", bound=Payload)
DONE = Outcome(verdict=Verdict.DONE)


@dataclass(frozen=True)
class Reaction(Generic[P]):
    """One line of a service's table: on events with this payload, do this."""

    payload: type[P]
    handle: Callable[[Transaction, Event[P]], Awaitable[None]]


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
    ) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._reactions = {reaction.payload.type: reaction for reaction in reactions}
        self.queue = Queue(name=f"{database.source}.events", types=tuple(self._reactions), backoff=backoff)

    async def run(self) -> None:
        """React until cancelled."""
        await self._bus.consume(self.queue, self.handle)

    async def handle(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """Handle a batch in one transaction; where that fails as a whole, one by one."""
        outcomes = await self._in_as_few_transactions_as_possible(deliveries)
        for delivery, outcome in zip(deliveries, outcomes, strict=True):
            labels = (self._database.source, delivery.message.type, outcome.verdict.value)
            EVENTS_HANDLED.labels(*labels).inc()
        return outcomes

    async def _in_as_few_transactions_as_possible(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        try:
            return await self._together(deliveries)
        except (sa.exc.DBAPIError, OSError) as error:
            if len(deliveries) == 1:
                return [Outcome(verdict=Verdict.RETRY, reason=_reason(error))]
            one_by_one = [await self._in_as_few_transactions_as_possible([one]) for one in deliveries]
            return [outcomes[0] for outcomes in one_by_one]

    async def _together(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        async with self._database.transaction() as tx:
            return [await self._one(tx, delivery) for delivery in deliveries]

    async def _one(self, tx: Transaction, delivery: Delivery) -> Outcome:
        reaction = self._reactions.get(delivery.message.type)
        if reaction is None:  # the queue was bound to this type by an earlier version
            return DONE
        try:
            event: Event[Any] = Event.parse(delivery.message.body, reaction.payload)
        except ValidationError as error:
            return Outcome(verdict=Verdict.DEAD, reason=f"not a valid {delivery.message.type}: {error}")
        with following(event.traceparent):
            try:
                async with tx.savepoint():
                    if await self._is_first(tx, event.id):
                        await reaction.handle(tx, event)
            except sa.exc.DBAPIError as error:
                if error.connection_invalidated:  # nothing in this transaction can be kept
                    raise
                return self._failed(delivery, error)
            except Exception as error:  # noqa: BLE001 - whatever it was, it is tried again, then kept as a dead letter
                return self._failed(delivery, error)
        return DONE

    def _failed(self, delivery: Delivery, error: Exception) -> Outcome:
        log.error(
            "reaction.failed",
            exc_info=error,
            service=self._database.source,
            type=delivery.message.type,
            event_id=delivery.message.id,
            attempt=delivery.attempt,
        )
        return Outcome(verdict=Verdict.RETRY, reason=_reason(error))

    async def _is_first(self, tx: Transaction, event_id: str) -> bool:
        row = {"queue": self.queue.name, "event_id": event_id, "seen_at": self._clock()}
        result = await tx.session.execute(
            insert(tx, INBOX).values(row).on_conflict_do_nothing().returning(INBOX.c.event_id)
        )
        return result.first() is not None


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:1000]
