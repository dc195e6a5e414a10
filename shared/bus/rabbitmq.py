"""The bus on RabbitMQ: quorum queues, confirms, retries by TTL queues, dead letters that are kept.

Topology, all durable, for every queue `Q` (prefix `everleaf`):

    everleaf.events (topic) ── type ──▶ Q ── handled: ack
        │ no binding                    ├── failed: everleaf.retry ─▶ Q.retry.N (TTL) ─▶ everleaf.requeue ─▶ Q
        ▼                               └── given up: everleaf.dead ─▶ Q.dead
    everleaf.unrouted

A failed message is published on (confirmed) before it is acknowledged, so a crash in between
doubles it and never loses it. The broker's own delivery limit is a backstop against messages that
kill the process; its dead letters arrive in the same `Q.dead`.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aio_pika
import anyio
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError, ChannelNotFoundEntity
from aiormq import Connection as WireConnection
from aiormq.abc import AbstractChannel as WireChannel
from aiormq.exceptions import AMQPError as WireError

from shared.bus import DeadLetter, Delivery, Depth, Handler, Message, Outcome, Queue, Reader, Verdict, unread
from shared.bus.deliveries import Arrivals, SortingTransport
from shared.errors import Unavailable
from shared.events import CONTENT_TYPE

log = structlog.get_logger(__name__)

PUBLISH_TIMEOUT = 10
CONNECT_TIMEOUT = 10
PREFETCH = 200
DELIVERY_LIMIT = 20
Arguments = dict[str, Any]
LOST = (
    AMQPError,
    WireError,
    ChannelInvalidStateError,
    ConnectionError,
    OSError,
    asyncio.TimeoutError,
    RuntimeError,
)


class RabbitBus:
    """The bus on one RabbitMQ virtual host."""

    def __init__(
        self,
        url: str,
        *,
        tls: ssl.SSLContext | None = None,
        prefix: str = "everleaf",
        declares: bool = True,
    ) -> None:
        """`url` is `amqp://user:password@host:port/vhost`, or `amqps://` with a verifying `tls`.

        Without `declares` its user may only use what somebody else has made.
        """
        self._url = url
        self._tls = tls
        self._declares = declares
        self._prefix = prefix
        self._publishing = anyio.Lock()
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None

    async def declare(self, queues: Sequence[Queue]) -> None:
        """Make exchanges and queues exist. Raises `Unavailable`, also where one exists with other arguments."""
        if not self._declares:
            await self._see(queues)
            return
        async with self._asking() as channel:
            await _declare_exchanges(channel, self._prefix)
            for queue in queues:
                await _declare_queue(channel, self._prefix, queue)

    async def _see(self, queues: Sequence[Queue]) -> None:
        """Return where the queues are there; asking that needs no right on the broker (AMQP's passive declaration)."""
        async with self._asking() as channel:
            for queue in queues:
                try:
                    await channel.declare_queue(queue.name, passive=True)
                except ChannelNotFoundEntity as error:
                    raise Unavailable(
                        f"RabbitMQ has no queue {queue.name}, and EVERLEAF_BUS_DECLARES is false.",
                        next_step="Run `everleaf migrate` as a user of the broker who may make it.",
                    ) from error

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish and wait for every confirm. Raises `Unavailable`."""
        await self._send([(f"{self._prefix}.events", message.type, packed(message)) for message in messages])

    async def hand_over(self, queue: str, messages: Sequence[Message]) -> None:
        """Put messages into a queue by its name, and wait for every confirm. Raises `Unavailable`."""
        # The default exchange: every queue is bound to it by its name (AMQP 0-9-1 §3.1.3.1).
        await self._send([("", queue, packed(message)) for message in messages])

    async def _send(self, letters: Sequence[tuple[str, str, aio_pika.Message]]) -> None:
        async with self._publishing:
            try:
                async with asyncio.timeout(PUBLISH_TIMEOUT):
                    channel = await self._publisher()
                    await _publish_all(channel, letters)
            except LOST as error:
                await self._drop()
                raise _unavailable(error) from error

    async def _publisher(self) -> AbstractChannel:
        if self._channel is None or self._channel.is_closed:
            await self._drop()
            self._connection = await self._connect()
            # Without on_return_raises an unroutable message would be returned as if it were delivered.
            self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        return self._channel

    async def _drop(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            await _close(connection)

    async def consume(
        self, queue: Queue, handler: Handler, *, batch: int = 100, reader: Reader = unread
    ) -> None:
        """Hand batches to the handler until cancelled; a lost connection is made again."""
        failures = 0
        while True:
            arrivals = Arrivals()
            try:
                async with self._receiving(arrivals, reader) as channel:
                    failures = 0
                    await self._consume(channel, arrivals, queue, handler, batch=batch)
            except (Unavailable, *LOST) as error:
                failures += 1
                log.warning("bus.consumer_lost", queue=queue.name, failures=failures, error=str(error))
                await anyio.sleep(min(0.1 * 2**failures, 5))

    async def _consume(
        self, channel: WireChannel, arrivals: Arrivals, queue: Queue, handler: Handler, *, batch: int
    ) -> None:
        gone = channel.closing
        channel.on_consumer_cancel_callbacks.add(lambda _: gone.cancel())  # the queue was deleted, say
        await channel.basic_qos(prefetch_count=max(PREFETCH, 2 * batch))
        # A broker whose queue is being recovered may never answer: waiting for ever would be silence.
        await asyncio.wait_for(channel.basic_consume(queue.name, _never_called), CONNECT_TIMEOUT)
        while True:
            arrived = await arrivals.take(batch, gone=gone)
            deliveries = [each.delivery for each in arrived]
            outcomes = await handler(deliveries)
            await self._settle(queue, deliveries, outcomes)
            # All that came before on this channel is settled too, so one acknowledgement covers the batch.
            await channel.basic_ack(arrived[-1].tag, multiple=True)

    async def _settle(
        self,
        queue: Queue,
        deliveries: Sequence[Delivery],
        outcomes: Sequence[Outcome],
    ) -> None:
        onward = [
            self._onward(queue, delivery, outcome)
            for delivery, outcome in zip(deliveries, outcomes, strict=True)
            if outcome.verdict is not Verdict.DONE
        ]
        if onward:
            await self._send(onward)

    def _onward(
        self, queue: Queue, delivery: Delivery, outcome: Outcome
    ) -> tuple[str, str, aio_pika.Message]:
        headers: dict[str, Any] = {"x-attempt": delivery.attempt, "x-reason": outcome.reason[:2000]}
        if outcome.verdict is Verdict.RETRY and delivery.attempt <= len(queue.backoff):
            route = _retry_queue(queue, delivery.attempt)
            return f"{self._prefix}.retry", route, packed(delivery.message, headers=headers)
        headers["x-died-at"] = datetime.now(UTC).isoformat()
        return f"{self._prefix}.dead", queue.name, packed(delivery.message, headers=headers)

    async def dead_letters(self, queue: Queue, *, limit: int = 50) -> list[DeadLetter]:
        """Return the oldest dead letters; closing the channel puts them back unread."""
        async with self._asking() as channel:
            return [_dead_letter(queue, message) async for message in _peek(channel, queue, limit=limit)]

    async def dead_letter_count(self, queue: Queue) -> int:
        """Return how many dead letters the broker holds."""
        async with self._asking() as channel:
            return await _count(channel, f"{queue.name}.dead")

    async def depth(self, queue: Queue) -> Depth:
        """Ask the broker; what a consumer holds unacknowledged is not counted."""
        retries = [_retry_queue(queue, number) for number in range(1, len(queue.backoff) + 1)]
        async with self._asking() as channel:
            return Depth(
                waiting=await _count(channel, queue.name),
                retrying=sum([await _count(channel, name) for name in retries]),
                dead=await _count(channel, f"{queue.name}.dead"),
            )

    async def redrive(self, queue: Queue, ids: Sequence[str] | None = None) -> int:
        """Put dead letters back into their queue, with a first try before them."""

        async def back(message: AbstractIncomingMessage) -> None:
            await self._send([(f"{self._prefix}.requeue", queue.name, packed(_unpacked(message)))])

        return await self._take(queue, ids, back)

    async def discard(self, queue: Queue, ids: Sequence[str]) -> int:
        """Throw dead letters away."""

        async def nothing(_message: AbstractIncomingMessage) -> None:
            return None

        return await self._take(queue, ids, nothing)

    async def _take(self, queue: Queue, ids: Sequence[str] | None, use: Any) -> int:
        count = 0
        async with self._asking() as channel:
            async for message in _peek(channel, queue):
                if ids is None or message.message_id in ids:
                    await use(message)
                    await message.ack()
                    count += 1
        return count

    async def ready(self) -> None:
        """Return when the broker answers."""
        async with self._publishing:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    await self._publisher()
            except LOST as error:
                await self._drop()
                raise _unavailable(error) from error

    async def close(self) -> None:
        """Close the publishing connection."""
        async with self._publishing:
            await self._drop()

    async def _connect(self) -> AbstractConnection:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                return await aio_pika.connect(self._url, ssl_context=self._tls)
        except LOST as error:
            raise _unavailable(error) from error

    @asynccontextmanager
    async def _receiving(self, arrivals: Arrivals, reader: Reader) -> AsyncIterator[WireChannel]:
        connection = WireConnection(
            self._url, context=self._tls, transport_factory=SortingTransport(arrivals, reader)
        )
        async with asyncio.timeout(CONNECT_TIMEOUT):
            await connection.connect()
        try:
            yield await connection.channel(publisher_confirms=False)
        finally:
            await _close(connection)

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[AbstractChannel]:
        connection = await self._connect()
        try:
            yield await connection.channel()
        except LOST as error:
            raise _unavailable(error) from error
        finally:
            await _close(connection)


async def _publish_all(
    channel: AbstractChannel, letters: Sequence[tuple[str, str, aio_pika.Message]]
) -> None:
    # One level below aio-pika: all frames are queued first and all confirms awaited together, which
    # costs client and broker a fraction of one await each.
    wire = await channel.get_underlay_channel()
    sending = [
        wire.basic_publish(
            message.body,
            exchange=exchange,
            routing_key=route,
            properties=message.properties,
            mandatory=True,
            wait=False,  # type: ignore[call-arg] # missing from the abstract class, there in the real one
        )
        for exchange, route, message in letters
    ]
    for answer in await asyncio.gather(*sending, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer


async def _declare_exchanges(channel: AbstractChannel, prefix: str) -> None:
    unrouted = await channel.declare_exchange(
        f"{prefix}.unrouted", aio_pika.ExchangeType.FANOUT, durable=True
    )
    kept = await channel.declare_queue(
        f"{prefix}.unrouted", durable=True, arguments={"x-queue-type": "quorum", "x-max-length": 100_000}
    )
    await kept.bind(unrouted)
    await channel.declare_exchange(
        f"{prefix}.events",
        aio_pika.ExchangeType.TOPIC,
        durable=True,
        arguments={"alternate-exchange": f"{prefix}.unrouted"},
    )
    for name in ("retry", "requeue", "dead"):
        await channel.declare_exchange(f"{prefix}.{name}", aio_pika.ExchangeType.DIRECT, durable=True)


async def _declare_queue(channel: AbstractChannel, prefix: str, queue: Queue) -> None:
    # At-least-once dead-lettering needs reject-publish, else the broker silently falls back.
    lossless: Arguments = {
        "x-queue-type": "quorum",
        "x-overflow": "reject-publish",
        "x-max-length": 1_000_000,
    }
    work = await channel.declare_queue(
        queue.name,
        durable=True,
        arguments={
            **lossless,
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": f"{prefix}.dead",
            "x-dead-letter-routing-key": queue.name,
            "x-dead-letter-strategy": "at-least-once",
        },
    )
    for event_type in queue.types:
        await work.bind(f"{prefix}.events", event_type)
    await work.bind(f"{prefix}.requeue", queue.name)
    dead = await channel.declare_queue(f"{queue.name}.dead", durable=True, arguments=lossless)
    await dead.bind(f"{prefix}.dead", queue.name)
    for number, wait in enumerate(queue.backoff, start=1):
        arguments: Arguments = {
            **lossless,
            "x-message-ttl": int(wait.total_seconds() * 1000),
            "x-dead-letter-exchange": f"{prefix}.requeue",
            "x-dead-letter-routing-key": queue.name,
            "x-dead-letter-strategy": "at-least-once",
        }
        name = _retry_queue(queue, number)
        retry = await channel.declare_queue(name, durable=True, arguments=arguments)
        await retry.bind(f"{prefix}.retry", name)


def _retry_queue(queue: Queue, number: int) -> str:
    # The wait is part of the name: another wait is another queue, not a conflict with the old one.
    return f"{queue.name}.retry.{number}.{int(queue.backoff[number - 1].total_seconds() * 1000)}"


async def _count(channel: AbstractChannel, name: str) -> int:
    queue = await channel.declare_queue(name, passive=True)
    return int(queue.declaration_result.message_count or 0)


async def _peek(
    channel: AbstractChannel, queue: Queue, *, limit: int | None = None
) -> AsyncIterator[AbstractIncomingMessage]:
    dead = await channel.declare_queue(f"{queue.name}.dead", passive=True)
    count = int(dead.declaration_result.message_count or 0)
    for _ in range(count if limit is None else min(limit, count)):
        message = await dead.get(fail=False)
        if message is None:
            return
        yield message


def packed(message: Message, *, headers: dict[str, Any] | None = None) -> aio_pika.Message:
    """Return a message in the form in which it is sent."""
    return aio_pika.Message(
        message.body,
        message_id=message.id,
        type=message.type,
        content_type=CONTENT_TYPE,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        headers=headers or {},
    )


def _unpacked(message: AbstractIncomingMessage) -> Message:
    return Message(
        id=message.message_id or "", type=message.type or message.routing_key or "", body=message.body
    )


async def _never_called(_message: object) -> None:
    """Its deliveries are taken out before the client sees them."""


def _dead_letter(queue: Queue, message: AbstractIncomingMessage) -> DeadLetter:
    headers = message.headers
    by_broker = "x-died-at" not in headers
    died_at = message.timestamp or datetime.now(UTC)
    if by_broker:
        deaths: Any = headers.get("x-death") or [{}]
        died_at = deaths[0].get("time", died_at)
        died_at = died_at if died_at.tzinfo else died_at.replace(tzinfo=UTC)
    return DeadLetter(
        queue=queue.name,
        message=_unpacked(message),
        attempts=DELIVERY_LIMIT if by_broker else int(str(headers["x-attempt"])),
        reason="the process ended while handling it" if by_broker else str(headers["x-reason"]),
        died_at=died_at if by_broker else datetime.fromisoformat(str(headers["x-died-at"])),
    )


async def _close(connection: AbstractConnection | WireConnection) -> None:
    with anyio.move_on_after(5, shield=True):
        try:
            await connection.close()
        except LOST:
            return


def _unavailable(error: BaseException) -> Unavailable:
    return Unavailable(
        f"RabbitMQ cannot be used: {type(error).__name__}: {error}".rstrip(": ") + ".",
        next_step="Check that the broker runs, and EVERLEAF_BUS_URL with its password and TLS settings.",
    )
