"""How sources ask an HTTP API: by `shared.web`, within the limits of their run."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx

from services.discovery.connectors import Access
from shared.outbound import guarded_client
from shared.web import (
    Answer,
    NotPermitted,
    TooLong,
    WebApi,
    ask_bounded,
    named,
    refuse_other_than_success,
    trusting,
)

__all__ = [
    "Answer",
    "NotPermitted",
    "TooLong",
    "WebApi",
    "ask_bounded",
    "named",
    "refuse_other_than_success",
    "trusting",
    "web_api",
]


@asynccontextmanager
async def web_api(
    access: Access,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    auth: httpx.Auth | None = None,
    trusted_ca: str | None = None,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[WebApi]:
    """Open an API for one piece of work.

    `trusted_ca` is PEM that is trusted beside the public roots; `context` takes the place of all of it, for an API
    that wants a client certificate.
    """
    client = guarded_client(access.policy, tls=context or trusting(trusted_ca))
    seconds = access.limits.command.total_seconds()
    # It ends before the time for the whole answer does: httpx closes what it gives up, and not what is taken from it.
    connect = min(access.limits.connect.total_seconds(), 0.9 * seconds)
    client.timeout = httpx.Timeout(seconds, connect=connect)
    client.headers.update({"User-Agent": "Everleaf", "Accept": "application/json", **(headers or {})})
    if auth is not None:
        client.auth = auth
    async with client:
        yield WebApi(client, url, seconds=seconds)
