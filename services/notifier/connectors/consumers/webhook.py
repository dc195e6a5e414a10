"""Hands items over as signed requests, one each (Standard Webhooks, https://www.standardwebhooks.com)."""

import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus

import anyio
import httpx

from services.notifier.connectors import Network
from services.notifier.connectors.consumers import Item, NotTaken
from services.notifier.connectors.trust import trusting
from services.notifier.connectors.web import retry_after
from shared.events import CONTENT_TYPE
from shared.outbound import guarded_client
from shared.webhooks import Signer, signed

PATIENCE = timedelta(seconds=20)
_LONGEST = timedelta(days=1)


class WebhookConsumer:
    """A receiver of signed messages."""

    def __init__(self, url: str, *, ca_pem: str | None, key: Signer, network: Network) -> None:
        """Raises `Invalid` where the CA is not PEM."""
        self._url = url
        self._key = key
        self._tls = trusting(ca_pem, otherwise=network.tls)
        self._network = network

    async def hand(self, items: Sequence[Item], *, now: datetime) -> None:
        """Post each, and go on with the next when it was taken; redirects are never followed. Raises `NotTaken`."""
        async with guarded_client(self._network.policy, tls=self._tls) as client:
            for taken, item in enumerate(items):
                await self._hand(client, item, taken=taken, now=now)

    async def _hand(self, client: httpx.AsyncClient, item: Item, *, taken: int, now: datetime) -> None:
        content = item.body.encode()
        headers = {"Content-Type": CONTENT_TYPE, "User-Agent": "Everleaf"}
        headers |= signed(content, message_id=item.id, key=self._key, now=now)
        try:
            with anyio.fail_after(PATIENCE.total_seconds()):
                status, told = await self._post(client, content, headers)
        except TimeoutError:
            raise NotTaken(f"No answer within {PATIENCE.seconds} s.", taken=taken) from None
        except (httpx.HTTPError, ssl.SSLError, OSError) as error:
            raise NotTaken(f"{type(error).__name__}: {error}", taken=taken) from error
        if status not in range(200, 300):
            is_gone = status == HTTPStatus.GONE
            raise NotTaken(f"HTTP {status}", taken=taken, retry_after=_wait(told, now=now), is_gone=is_gone)

    async def _post(
        self, client: httpx.AsyncClient, content: bytes, headers: Mapping[str, str]
    ) -> tuple[int, str | None]:
        # What the receiver writes in its answer is of no interest, and is not read: it could be endless.
        async with client.stream("POST", self._url, content=content, headers=headers) as answer:
            return answer.status_code, answer.headers.get("retry-after")


def _wait(told: str | None, *, now: datetime) -> timedelta | None:
    wait = retry_after(told, now=now)
    return None if wait is None else min(wait, _LONGEST)
