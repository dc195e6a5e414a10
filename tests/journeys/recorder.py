"""Listens to everything that the platform says on RabbitMQ, as an enterprise consumer would."""

import json
import re
from types import TracebackType
from typing import Any, Self

import aio_pika
from aio_pika.abc import AbstractQueue, AbstractRobustConnection

SECRETS = re.compile(rb"PRIVATE KEY|whsec_|evl_|eyJ[A-Za-z0-9_-]{10,}\.eyJ|BEGIN PKCS")


class Recorder:
    """A queue of its own on the exchange `everleaf.events`, bound to every type."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._bodies: list[bytes] = []

    async def __aenter__(self) -> Self:
        self._connection: AbstractRobustConnection = await aio_pika.connect_robust(self._url)
        channel = await self._connection.channel()
        self._queue: AbstractQueue = await channel.declare_queue("journey.recorder", exclusive=True)
        await self._queue.bind("everleaf.events", "#")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()

    async def events(self) -> list[dict[str, Any]]:
        """Return what has been said so far, in the order in which it came."""
        while (message := await self._queue.get(no_ack=True, fail=False)) is not None:
            self._bodies.append(message.body)
        return [json.loads(body) for body in self._bodies]

    def has_no_secrets(self) -> bool:
        """Say whether nothing of what was said looks like a key, a token or a password."""
        return not any(SECRETS.search(body) for body in self._bodies)
