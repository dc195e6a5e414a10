"""The token endpoint of OAuth 2.0, for machines that speak it: client credentials (RFC 6749 §4.4)."""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote_plus

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from services.inventory.actions.access import Access
from services.inventory.api.access import OFTEN, address_of
from shared.clock import Clock
from shared.errors import EverleafError, Invalid, TooMany, Unauthenticated, Unavailable
from shared.http import Routes, View, public, retry_after
from shared.openapi import PROBLEM, Problem
from shared.trace import trace_id

NO_STORE = {"Cache-Control": "no-store"}
_FORM = "application/x-www-form-urlencoded"
_FIELDS = {
    "grant_type": {"type": "string", "const": "client_credentials"},
    "client_id": {"type": "string", "description": "The id or the name of a principal."},
    "client_secret": {"type": "string", "format": "password", "description": "One of its API keys."},
}
_BODY = {
    "required": True,
    "content": {_FORM: {"schema": {"type": "object", "properties": _FIELDS, "required": ["grant_type"]}}},
}
_STATUS: dict[type[EverleafError], tuple[int, str]] = {
    Unauthenticated: (401, "invalid_client"),
    TooMany: (429, "temporarily_unavailable"),
    Unavailable: (503, "temporarily_unavailable"),
}


class OAuthTokenView(View):
    """A token as OAuth 2.0 has it (RFC 6749 §5.1)."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the scheme, not a secret
    expires_in: int = Field(description="Seconds.", examples=[300])


class _Grant(Invalid):
    """A request that is not one for client credentials; `code` is OAuth's word for that (§5.2)."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail, next_step="Send grant_type=client_credentials, client_id and client_secret.")
        self.code = code


def oauth_routes(access: Access, *, clock: Clock) -> Routes:
    """Build the route."""
    routes = Routes(prefix="/v1/oauth")

    @routes.post(
        "/token",
        summary="Get a token by OAuth 2.0 client credentials",
        openapi_extra={
            **public("the client's credentials are sent instead of a token"),
            "requestBody": _BODY,
        },
        response_model=OAuthTokenView,
        responses={
            **OFTEN,
            400: {"model": Problem, "description": "It is no request for client credentials."},
        },
    )
    async def create_oauth_token(request: Request) -> Response:
        now = clock()
        try:
            client_id, secret = await _credentials(request)
            granted = await access.exchange(
                secret, client_id=client_id, caller_at=address_of(request), now=now
            )
        except (_Grant, Unauthenticated, TooMany, Unavailable) as error:
            return _refusal(request, error)
        view = OAuthTokenView(access_token=granted.token, expires_in=_seconds(granted.expires_at, now))
        return JSONResponse(view.model_dump(), headers=NO_STORE)

    return routes


async def _credentials(request: Request) -> tuple[str, str]:
    """Return the client's id and secret, from the header or from the form, never from both (§2.3)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise _Grant("invalid_request", f"The body is not {_FORM}.")
    pairs = parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
    form = dict(pairs)
    if len(form) != len(pairs):
        raise _Grant("invalid_request", "A parameter is there twice.")
    if form.get("grant_type") != "client_credentials":
        raise _Grant("unsupported_grant_type", "Only client_credentials are granted here.")
    if "scope" in form:
        raise _Grant("invalid_scope", "Rights are those of the principal; a scope cannot be asked for.")
    return _from_header(request.headers.get("authorization"), form) or _from_form(form)


def _from_header(header: str | None, form: Mapping[str, str]) -> tuple[str, str] | None:
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    if "client_secret" in form:
        raise _Grant("invalid_request", "The client's credentials are there twice.")
    try:
        client_id, _, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise _Grant("invalid_request", "The header Authorization is not Basic.") from error
    return unquote_plus(client_id), unquote_plus(secret)


def _from_form(form: Mapping[str, str]) -> tuple[str, str]:
    if not (form.get("client_id") and form.get("client_secret")):
        raise Unauthenticated(
            "The request carries no client_id and client_secret.",
            next_step="Send them in the form, or as Basic credentials.",
        )
    return form["client_id"], form["client_secret"]


def _seconds(ends: datetime, now: datetime) -> int:
    return int((ends - now).total_seconds())


def _refusal(request: Request, error: EverleafError) -> JSONResponse:
    """Return a problem document that is an OAuth error too (§5.2; RFC 9457 §3.2 lets members be added)."""
    status, code = _STATUS.get(type(error), (400, getattr(error, "code", "invalid_request")))
    problem = Problem(
        type=f"https://everleaf.dev/problems/{error.slug}",
        title=error.title,
        status=status,
        detail=error.detail,
        instance=request.url.path,
        next_step=error.next_step,
        trace_id=trace_id(),
    )
    content: dict[str, Any] = {**problem.model_dump(), "error": code, "error_description": error.detail}
    asking = {"WWW-Authenticate": 'Basic realm="everleaf"'} if status == 401 else {}  # noqa: PLR2004 - RFC 6749 §5.2
    return JSONResponse(content, status, {**NO_STORE, **asking, **retry_after(error)}, PROBLEM)
