"""`python -m bench.events.bare_rabbitmq BUS COUNT`: what a programmer writes first, with the guarantees of the broker and no others.

aio-pika, persistent messages with confirms, 200 in flight; a callback that acknowledges each. No outbox, no inbox, no effect:
whoever dies in the wrong moment loses an event or has its effect twice.
"""

import asyncio
import sys
from collections.abc import Iterator

import aio_pika
import uvloop
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage

from bench.events.pulse import event
from bench.ingest.telling import Stopwatch
from shared.bus.rabbitmq import PREFETCH

IN_FLIGHT = 200
QUEUE = "bare"


async def main(url: str, count: int) -> None:
    """Publish and consume so many."""
    bodies = iter([event(number).to_bytes() for number in range(count)])
    connection = await aio_pika.connect(url)
    publishing, consuming = [await connection.channel() for _ in range(2)]
    await consuming.set_qos(prefetch_count=PREFETCH)
    await publishing.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
    queue = await consuming.get_queue(QUEUE)
    left, done = count, asyncio.Event()

    async def handle(message: AbstractIncomingMessage) -> None:
        nonlocal left
        await message.ack()
        left -= 1
        if left == 0:
            done.set()

    with Stopwatch():
        await queue.consume(handle)
        await asyncio.gather(*[_publish(publishing.default_exchange, bodies) for _ in range(IN_FLIGHT)])
        await done.wait()
    await connection.close()


async def _publish(exchange: AbstractExchange, bodies: Iterator[bytes]) -> None:
    for body in bodies:
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await exchange.publish(message, routing_key=QUEUE)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
