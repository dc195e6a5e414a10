"""The bus: what a service may ask of RabbitMQ and of the embedded SQLite transport alike.

Delivery is at least once and in no promised order. A consumer that fails is given the message
again after a back-off; after its last try the message becomes a dead letter, which is kept until
somebody re-drives or discards it. Both transports pass `tests/conformance/test_bus.py`.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol

DEFAULT_BACKOFF = (timedelta(seconds=5), timedelta(minutes=1), timedelta(minutes=10))


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A named queue, the event types it is bound to, and how often a message is tried.

    `backoff` holds the waits between tries, so a message is tried `len(backoff) + 1` times.
    Waits of hours do not belong here but in a schedule in the consumer's own store.
    """

    name: str
    types: tuple[str, ...]
    backoff: tuple[timedelta, ...] = DEFAULT_BACKOFF


@dataclass(frozen=True, kw_only=True)
class Message:
    """One event on its way: `body` is a CloudEvent in structured JSON."""

    id: str
    type: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A message as a consumer gets it; `attempt` counts from 1."""

    message: Message
    attempt: int
    read: object = field(default=None, repr=False, compare=False)
    """What the consumer's reader has made of the message; None where it has none."""


class Verdict(Enum):
    """What the consumer says of a delivery."""

    DONE = "done"
    RETRY = "retry"
    """Failed; try again after the queue's back-off, or dead-letter after the last try."""
    DEAD = "dead"
    """Will never succeed (it does not parse, say): dead-letter it at once."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The verdict on one delivery, with the reason where it is not `DONE`."""

    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """A message that was given up, and why."""

    queue: str
    message: Message
    attempts: int
    reason: str
    died_at: datetime


@dataclass(frozen=True, kw_only=True)
class Depth:
    """How many messages a queue holds."""

    waiting: int
    """For a consumer, or for its verdict."""
    retrying: int
    """For the end of their back-off."""
    dead: int


Handler = Callable[[Sequence[Delivery]], Awaitable[Sequence[Outcome]]]
"""Handles a batch and returns one outcome per delivery, in the same order."""

Reader = Callable[[Message], object]
"""Makes of a message what its handler works with; it asks nobody, and never raises."""


def unread(_message: Message) -> None:
    """Leave a message as it is: what a consumer does that wants its deliveries plain."""


class Bus(Protocol):
    """The two transports' common face. Errors of the transport are `shared.errors.Unavailable`."""

    async def declare(self, queues: Sequence[Queue]) -> None:
        """Make sure the queues, their retries and their dead-letter places exist.

        Called at deployment or start-up, before anything is published; repeating it is harmless.
        """

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return once every message is durably in every queue bound to its type.

        A type that no queue is bound to is accepted and kept aside (never silently lost).
        Raises `Unavailable` where the transport did not confirm all of them: publish again.
        """

    async def hand_over(self, queue: str, messages: Sequence[Message]) -> None:
        """Return once every message is durably in a queue of somebody else's, which is none of ours.

        Raises `Unavailable` where the transport did not confirm all of them, and where it has no such queues.
        """

    async def consume(
        self, queue: Queue, handler: Handler, *, batch: int = 100, reader: Reader = unread
    ) -> None:
        """Hand batches to the handler until cancelled; survives a lost connection by itself.

        A message is read when it comes, which may be while the handler waits for the database with those before it.
        """

    async def dead_letters(self, queue: Queue, *, limit: int = 50) -> list[DeadLetter]:
        """Return the oldest dead letters of a queue, without removing them."""

    async def dead_letter_count(self, queue: Queue) -> int:
        """Return how many dead letters the queue holds."""

    async def depth(self, queue: Queue) -> Depth:
        """Return how many messages the queue holds. Raises `Unavailable`."""

    async def redrive(self, queue: Queue, ids: Sequence[str] | None = None) -> int:
        """Put dead letters (all, or those with these message ids) back for a first try; count them."""

    async def discard(self, queue: Queue, ids: Sequence[str]) -> int:
        """Throw away dead letters by message id; return how many were there."""

    async def ready(self) -> None:
        """Return when the transport answers; raise `Unavailable` where it does not."""

    async def close(self) -> None:
        """Let go of connections and files."""
