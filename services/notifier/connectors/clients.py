"""HTTP clients that are kept between messages: a connection, with its TLS session, serves many.

There is one for each address and each set of trusted authorities, so a receiver that hangs takes up no connection of
another, and none is used under another's trust. The outbound policy is asked for every connection that is made.
"""

import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy

import httpx

from shared.outbound import Policy, guarded_client

MOST = 100
"""Clients that are kept; of more, those are closed that were used longest ago."""
_Key = tuple[bytes, int | None, str, ssl.SSLContext]


@dataclass(kw_only=True)
class _Kept:
    client: httpx.AsyncClient
    users: int = 0


class Clients:
    """The clients of a process; close them at its end."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()

    @asynccontextmanager
    async def to(self, url: str, *, tls: ssl.SSLContext) -> AsyncIterator[httpx.AsyncClient]:
        """Lend the client to an address. Raises `httpx.InvalidURL` where it is none."""
        parts = httpx.URL(url)
        key = (parts.raw_host, parts.port, parts.scheme, tls)
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = _Kept(client=_forgetful(self._policy, tls=tls))
        self._kept.move_to_end(key)
        kept.users += 1
        try:
            yield kept.client
        finally:
            kept.users -= 1
            await self._close_some()

    async def _close_some(self) -> None:
        idle = [key for key, kept in self._kept.items() if not kept.users]
        for key in idle[: max(0, len(self._kept) - MOST)]:
            await self._kept.pop(key).client.aclose()

    async def close(self) -> None:
        """Close all."""
        async with AsyncExitStack() as closing:
            for kept in self._kept.values():
                closing.push_async_callback(kept.client.aclose)
            self._kept.clear()


def _forgetful(policy: Policy, *, tls: ssl.SSLContext) -> httpx.AsyncClient:
    """Return a client that keeps no cookie: what one channel is given is not for another at the same address."""
    client = guarded_client(policy, tls=tls)
    client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return client
