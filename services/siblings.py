"""How one service reaches another's API: over the gateway, or inside the one process of `up`."""

from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel
from starlette.types import ASGIApp

from shared.access import TokenSource, base64url
from shared.clock import Clock
from shared.errors import Refused, Unavailable
from shared.trace import Attributes, Kind, span, traceparent

TOKENS = "/inventory/v1/tokens"
KEYS = "/inventory/v1/jwks.json"

Transport = Callable[[], httpx.AsyncBaseTransport]


class TokenAnswer(BaseModel):
    """What inventory gives for an API key."""

    access_token: str
    expires_at: datetime


class _OwnToken(httpx.Auth):
    """Puts the service's own token on each request."""

    def __init__(self, tokens: TokenSource, clock: Clock) -> None:
        self._tokens = tokens
        self._clock = clock

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Get a token where the present one is about to end."""
        token = await self._tokens.token(now=self._clock())
        request.headers["Authorization"] = f"Bearer {token}"
        yield request


class _Traced(httpx.AsyncBaseTransport):
    """Carries requests as another transport does, and says which trace they belong to."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Ask as a span of the trace in force, which the other service goes on with."""
        with span(request.method, kind=Kind.CLIENT) as asking:
            request.headers["traceparent"] = traceparent()
            answer = await self._inner.handle_async_request(request)
            if asking is not None:
                told: Attributes = {
                    "http.request.method": request.method,
                    "http.response.status_code": answer.status_code,
                    "server.address": request.url.host,
                }
                asking.tell(told)
        return answer

    async def aclose(self) -> None:
        """Close the other one."""
        await self._inner.aclose()


class SiblingClients:
    """Opens clients to siblings below one base URL; `transport` makes what carries them."""

    def __init__(self, base_url: str, transport: Transport, *, keys_dir: Path, clock: Clock) -> None:
        self._base_url = base_url.rstrip("/")
        self._transport = transport
        self._keys_dir = keys_dir
        self._clock = clock

    def open(
        self, name: str, *, caller: str, api_key: str | None, sealing_key: bytes | None = None
    ) -> httpx.AsyncClient:
        """Return a client to service `name` that carries tokens of the caller."""
        client = self.anonymous()

        async def exchange() -> tuple[str, datetime]:
            key = api_key or self._key_made_at_first_start(caller)
            body = {"sealing_key": base64url(sealing_key) if sealing_key else None}
            async with self.anonymous() as asking:
                answer = await asking.post(TOKENS, json=body, headers={"Authorization": f"Bearer {key}"})
            token = TokenAnswer.model_validate(_accepted(answer))
            return token.access_token, token.expires_at

        client.auth = _OwnToken(TokenSource(exchange), self._clock)
        client.base_url = httpx.URL(f"{self._base_url}/{name}")
        return client

    def anonymous(self) -> httpx.AsyncClient:
        """Return a client that carries no token."""
        return httpx.AsyncClient(base_url=self._base_url, transport=_Traced(self._transport()), timeout=20)

    async def published_keys(self) -> dict[str, Any]:
        """Return the JWKS that tokens are verified with. Raises `Unavailable`."""
        try:
            async with self.anonymous() as asking:
                return dict(_accepted(await asking.get(KEYS)))
        except httpx.TransportError as error:
            raise Unavailable(
                "Inventory does not answer, so tokens cannot be verified.", next_step="Try again shortly."
            ) from error

    def _key_made_at_first_start(self, caller: str) -> str:
        path = self._keys_dir / f"{caller}.key"
        try:
            return path.read_text().strip()
        except OSError as error:
            raise Unavailable(
                f"The service {caller} has no API key.",
                next_step=f"Make one in inventory and set EVERLEAF_{caller.upper()}_API_KEY_FILE.",
            ) from error


def _accepted(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json()
    if answer.is_server_error:
        raise Unavailable(f"Inventory answered {answer.status_code}.", next_step="Try again shortly.")
    raise Refused(
        f"Inventory answered {answer.status_code}: {answer.text[:300]}", next_step="Check the API key."
    )


def in_process(app: Callable[[], ASGIApp]) -> Transport:
    """Carry requests inside this process; `app` is asked for late, when all services stand."""

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await app()(scope, receive, send)

    return lambda: httpx.ASGITransport(late, raise_app_exceptions=False)
