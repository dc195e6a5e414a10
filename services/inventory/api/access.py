"""The routes of tokens, and of the keys they are verified with."""

import binascii
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Header, Request
from pydantic import Field

from services.inventory.actions.access import Access
from shared.access import unbase64url
from shared.clock import Clock
from shared.errors import Fault, Invalid, Unauthenticated
from shared.http import Body, Routes, View, public
from shared.openapi import Problem

OFTEN: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "The credential is not accepted."},
    429: {"model": Problem, "description": "It was refused too often; `Retry-After` says how long to wait."},
}


class TokenBody(Body):
    """What a token is asked with, beside the API key in `Authorization`."""

    sealing_key: str | None = Field(
        None,
        max_length=100,
        description="The caller's raw X25519 public key, base64url; the first one sent is pinned.",
        examples=["3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"],
    )


class TokenView(View):
    """A token and when it ends."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the scheme, not a secret
    expires_at: datetime


class KeysView(View):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[dict[str, str]]


def access_routes(access: Access, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1")

    @routes.get(
        "/jwks.json",
        summary="The keys tokens are verified with",
        openapi_extra=public("the keys tokens are verified with"),
    )
    async def get_jwks() -> KeysView:
        return KeysView(keys=await access.published_keys())

    @routes.post(
        "/tokens",
        summary="Exchange an API key, sent as bearer, for a token",
        openapi_extra=public("an API key is sent instead of a token"),
        responses=OFTEN,
    )
    async def create_token(
        body: TokenBody, request: Request, authorization: Annotated[str | None, Header()] = None
    ) -> TokenView:
        granted = await access.exchange(
            bearer(authorization),
            sealing_key=_raw_key(body.sealing_key),
            caller_at=address_of(request),
            now=clock(),
        )
        return TokenView(access_token=granted.token, expires_at=granted.expires_at)

    return routes


def address_of(request: Request) -> str:
    """Return the address that a request comes from."""
    return request.client.host if request.client else ""


def bearer(authorization: str | None) -> str:
    """Return what a request carries as bearer. Raises `Unauthenticated`."""
    scheme, _, key = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise Unauthenticated(
            "The request carries no API key.", next_step="Send it as `Authorization: Bearer evl_…`."
        )
    return key.strip()


def _raw_key(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        return unbase64url(text)
    except (binascii.Error, ValueError) as error:
        raise Invalid(
            "The sealing key is not base64url.",
            next_step="Send the 32 bytes of the X25519 public key in base64url, without padding.",
            faults=[Fault(pointer="/body/sealing_key", message="not base64url")],
        ) from error
