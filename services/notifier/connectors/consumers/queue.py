"""A consumer's own queue on RabbitMQ: made, filled and taken away.

Queue and user are made by the broker's management API (https://www.rabbitmq.com/docs/management#http-api). The user may read
this queue and nothing else: `configure` and `write` are empty, which matches no name (https://www.rabbitmq.com/docs/access-control).
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Protocol
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from services.notifier.connectors import Network
from services.notifier.connectors.consumers import Item, NotTaken
from shared.bus import Message
from shared.errors import Refused, Unavailable
from shared.outbound import guarded_client

MOST_WAITING = 100_000
"""Messages that may wait in a queue; then it takes no more, and the rest waits here, where it is kept anyway."""


class HandsOver(Protocol):
    """A bus that can put messages into a queue of somebody else's."""

    async def hand_over(self, queue: str, messages: Sequence[Message]) -> None:
        """Return once every message is durably in this queue. Raises `Unavailable`."""


class QueueConsumer:
    """A queue that somebody else reads."""

    def __init__(self, bus: HandsOver, queue: str) -> None:
        self._bus = bus
        self._queue = queue

    async def hand(self, items: Sequence[Item], *, now: datetime) -> None:  # noqa: ARG002 - as the Protocol has it
        """Put all into the queue. Raises `NotTaken`."""
        messages = [Message(id=item.id, type=item.type, body=item.body.encode()) for item in items]
        try:
            await self._bus.hand_over(self._queue, messages)
        except Unavailable as error:
            raise NotTaken(error.detail) from error


class Broker:
    """The management API of a broker, asked as an administrator of it."""

    def __init__(self, url: str, *, vhost: str, user: str, password: SecretStr, network: Network) -> None:
        self._url = url.rstrip("/")
        self._vhost = quote(vhost, safe="")
        self._login = httpx.BasicAuth(user, password.get_secret_value())
        self._network = network

    async def make(self, queue: str, *, password: str) -> None:
        """Make a queue, and the user of the same name who may read it. Raises `Refused` or `Unavailable`."""
        arguments = {
            "x-queue-type": "quorum",
            "x-max-length": MOST_WAITING,
            "x-overflow": "reject-publish",
        }
        await self._ask(
            "PUT",
            f"queues/{self._vhost}/{queue}",
            {"durable": True, "auto_delete": False, "arguments": arguments},
        )
        await self._ask("PUT", f"users/{queue}", {"password": password, "tags": ""})
        rights = {"configure": "", "write": "", "read": f"^{re.escape(queue)}$"}
        await self._ask("PUT", f"permissions/{self._vhost}/{queue}", rights)

    async def take_away(self, queue: str) -> None:
        """Delete user and queue, where they are there. Raises `Refused` or `Unavailable`."""
        await self._ask("DELETE", f"users/{queue}", accepted=(404,))
        await self._ask("DELETE", f"queues/{self._vhost}/{queue}", accepted=(404,))

    async def _ask(
        self,
        method: Literal["PUT", "DELETE"],
        path: str,
        body: Any = None,
        *,
        accepted: tuple[int, ...] = (),
    ) -> None:
        async with guarded_client(self._network.policy, tls=self._network.tls) as client:
            try:
                answer = await client.request(method, f"{self._url}/api/{path}", json=body, auth=self._login)
            except (httpx.HTTPError, OSError) as error:
                raise Unavailable(
                    f"The management API of RabbitMQ does not answer: {error}.",
                    next_step="Check EVERLEAF_NOTIFIER_BROKER_API_URL, and EVERLEAF_OUTBOUND_ALLOW for its network.",
                ) from error
        if not answer.is_success and answer.status_code not in accepted:
            raise Refused(
                f"The management API of RabbitMQ answered {answer.status_code}.",
                next_step="Give the user of EVERLEAF_NOTIFIER_BROKER_API_USER the tag `administrator`: it makes users.",
            )
