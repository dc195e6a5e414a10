"""Fetches what authorities publish: OCSP answers, CRLs and issuers' certificates, from addresses that certificates name."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cached_property

import anyio
import httpcore
import httpx

from shared.errors import Unavailable
from shared.outbound import Policy, guarded_client
from shared.tls import client_context

MOST_OCSP = 64 * 1024
MOST_CRL = 50 * 1024 * 1024
MOST_ISSUER = 256 * 1024
MOST_REDIRECTS = 3
_OCSP_TIME = timedelta(seconds=15)
_CRL_TIME = timedelta(seconds=90)
_MOST_HOSTS = 1000


class Authorities:
    """Asks each host at most once in `pace`; whatever answers, its size and its time are bounded.

    A certificate's addresses are written by strangers: the policy decides which of them are reached, and is asked again
    at every redirect.
    """

    def __init__(self, policy: Policy, *, pace: timedelta) -> None:
        self._policy = policy
        self._pace = pace.total_seconds()
        self._next: dict[str, float] = {}

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Made once: reading the system's roots takes longer than an answer."""
        return client_context()

    async def ocsp(self, url: str, request: bytes) -> bytes:
        """Return the body of a responder's answer (RFC 6960 appendix A.1). Raises `Unavailable`."""
        headers = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
        return await self._fetch(
            "POST", url, most=MOST_OCSP, within=_OCSP_TIME, headers=headers, content=request
        )

    async def crl(self, url: str) -> bytes:
        """Return the body of a CRL. Raises `Unavailable`."""
        return await self._fetch("GET", url, most=MOST_CRL, within=_CRL_TIME)

    async def issuer(self, url: str) -> bytes:
        """Return the body of an issuer's certificate. Raises `Unavailable`."""
        return await self._fetch("GET", url, most=MOST_ISSUER, within=_OCSP_TIME)

    async def _fetch(
        self,
        method: str,
        url: str,
        *,
        most: int,
        within: timedelta,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> bytes:
        try:
            await self._wait_for(httpx.URL(url).host)
            with anyio.fail_after(within.total_seconds()):
                async with self._answer(method, url, headers=headers, content=content) as response:
                    return await _body(response, most=most)
        except TimeoutError:
            raise _unavailable(f"No answer in {within.total_seconds():g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpcore.NetworkError, OSError, ValueError) as error:
            raise _unavailable(f"{type(error).__name__}: {error}") from error

    async def _wait_for(self, host: str) -> None:
        now = anyio.current_time()
        at = max(now, self._next.get(host, now))
        if len(self._next) >= _MOST_HOSTS:
            self._next = {name: when for name, when in self._next.items() if when > now}
        self._next[host] = at + self._pace
        await anyio.sleep(at - now)

    @asynccontextmanager
    async def _answer(
        self, method: str, url: str, *, headers: dict[str, str] | None, content: bytes | None
    ) -> AsyncIterator[httpx.Response]:
        async with guarded_client(self._policy, tls=self._tls, follow_redirects=True) as client:
            client.max_redirects = MOST_REDIRECTS
            # Compressed, a body of a few bytes could unfold to any size.
            said = {"Accept-Encoding": "identity", **(headers or {})}
            async with client.stream(method, url, headers=said, content=content) as response:
                yield response


async def _body(response: httpx.Response, *, most: int) -> bytes:
    if response.status_code != httpx.codes.OK:
        raise _unavailable(f"It answered {response.status_code}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise _unavailable("The answer is compressed, which was not asked for")
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > most:
            raise _unavailable(f"The answer is larger than {most} bytes")
    return bytes(body)


def _unavailable(why: str) -> Unavailable:
    return Unavailable(f"{why}."[:500], next_step="It is asked again by itself, after a growing pause.")
