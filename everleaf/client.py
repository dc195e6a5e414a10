"""The two clients: one blocks, one awaits; both do what `Flows` says."""

import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import anyio
import httpx

from everleaf.calls import Answer, Call, Listing
from everleaf.flows import Credential, Flows, Outcome, Pause, Seen, Send, arguments, unreachable
from everleaf.problems import NotSafe, problem
from everleaf.retries import Retries
from everleaf.waiting import Wait

T = TypeVar("T")
TIMEOUT = 60.0
_HERE = {"127.0.0.1", "::1", "localhost"}
_NOBODY: Callable[[Any], None] = lambda _: None  # noqa: E731 - a listener that listens to nothing


class Client:
    """Asks the platform, and blocks until it has answered.

    `credential` is a token or an API key (`evl_…`); a key is exchanged for short-lived tokens by
    itself. Raises `NotSafe` where either would be sent unencrypted to another machine.
    """

    def __init__(
        self,
        url: str,
        credential: str,
        *,
        verify: ssl.SSLContext | bool = True,
        retries: Retries | None = None,
        timeout: float = TIMEOUT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        _refuse_plain_text(url)
        self._flows = Flows(Credential(credential), retries or Retries())
        self._http = httpx.Client(base_url=url, verify=verify, timeout=timeout, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(self, call: Call[T]) -> T:
        """Return what an operation answers. Raises `Problem` or `Unreachable`."""
        return self.answer(call).body

    def answer(self, call: Call[T]) -> Answer[T]:
        """Return the same with its status, ETag and location."""
        answer: Answer[T] = self._run(self._flows.answer(call))
        return answer

    def each(self, listing: Listing[T]) -> Iterator[T]:
        """Yield everything on a list, asking for a page when it is needed."""
        page = self.call(listing)
        while True:
            yield from page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return
            page = self.call(listing.after(cursor))

    def wait(
        self,
        wait: Wait[T],
        *,
        every: float = 2,
        within: float | None = None,
        seen: Callable[[T], None] = _NOBODY,
    ) -> T:
        """Look every so many seconds until it has ended well, and return what was seen last.

        `seen` is told each look. Raises `EndedOtherwise`, or `NotInTime` after `within` seconds.
        """
        last: T = self._run(self._flows.wait(wait, every=every, within=within), seen)
        return last

    @contextmanager
    def stream(self, call: Call[Any]) -> Iterator[Iterator[bytes]]:
        """Open a long answer, to be read while it arrives; it is not asked again where it breaks off."""
        bearer = self._run(self._flows.bearer())
        try:
            with self._http.stream(call.method, call.path, **arguments(call, bearer)) as response:
                if not response.is_success:
                    response.read()
                    raise problem(response)
                yield response.iter_bytes()
        except httpx.TransportError as error:
            raise unreachable(error) from error

    def _run(self, flow: Any, seen: Callable[[Any], None] = _NOBODY) -> Any:
        outcome: Outcome = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as end:
                return end.value
            outcome = None
            if isinstance(step, Send):
                outcome = self._send(step)
            elif isinstance(step, Seen):
                seen(step.document)
            elif isinstance(step, Pause):
                time.sleep(step.seconds)

    def _send(self, step: Send) -> Outcome:
        try:
            return self._http.request(step.method, step.path, **step.arguments)
        except httpx.TransportError as error:
            return error


class AsyncClient:
    """The same for programs that await, under asyncio or trio."""

    def __init__(
        self,
        url: str,
        credential: str,
        *,
        verify: ssl.SSLContext | bool = True,
        retries: Retries | None = None,
        timeout: float = TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        _refuse_plain_text(url)
        self._flows = Flows(Credential(credential), retries or Retries())
        self._http = httpx.AsyncClient(base_url=url, verify=verify, timeout=timeout, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(self, call: Call[T]) -> T:
        """Return what an operation answers. Raises `Problem` or `Unreachable`."""
        return (await self.answer(call)).body

    async def answer(self, call: Call[T]) -> Answer[T]:
        """Return the same with its status, ETag and location."""
        answer: Answer[T] = await self._run(self._flows.answer(call))
        return answer

    async def each(self, listing: Listing[T]) -> AsyncIterator[T]:
        """Yield everything on a list, asking for a page when it is needed."""
        page = await self.call(listing)
        while True:
            for item in page["items"]:
                yield item
            cursor = page.get("next_cursor")
            if not cursor:
                return
            page = await self.call(listing.after(cursor))

    async def wait(
        self,
        wait: Wait[T],
        *,
        every: float = 2,
        within: float | None = None,
        seen: Callable[[T], None] = _NOBODY,
    ) -> T:
        """Look every so many seconds until it has ended well, as `Client.wait` does."""
        last: T = await self._run(self._flows.wait(wait, every=every, within=within), seen)
        return last

    @asynccontextmanager
    async def stream(self, call: Call[Any]) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a long answer, to be read while it arrives; it is not asked again where it breaks off."""
        bearer = await self._run(self._flows.bearer())
        try:
            async with self._http.stream(call.method, call.path, **arguments(call, bearer)) as response:
                if not response.is_success:
                    await response.aread()
                    raise problem(response)
                yield response.aiter_bytes()
        except httpx.TransportError as error:
            raise unreachable(error) from error

    async def _run(self, flow: Any, seen: Callable[[Any], None] = _NOBODY) -> Any:
        outcome: Outcome = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as end:
                return end.value
            outcome = None
            if isinstance(step, Send):
                outcome = await self._send(step)
            elif isinstance(step, Seen):
                seen(step.document)
            elif isinstance(step, Pause):
                await anyio.sleep(step.seconds)

    async def _send(self, step: Send) -> Outcome:
        try:
            return await self._http.request(step.method, step.path, **step.arguments)
        except httpx.TransportError as error:
            return error


def _refuse_plain_text(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in _HERE:
        raise NotSafe(
            f"The token would go to {url} unencrypted.", next_step="Use an address that begins with https://."
        )
