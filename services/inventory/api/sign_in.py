"""The routes by which people sign in, and the portal gets tokens: cookies here, nowhere else."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import Cookie, Header, Query, Request, Response
from fastapi.responses import RedirectResponse

from services.inventory.actions.access import Access
from services.inventory.actions.signing_in import PATIENCE, SigningIn
from services.inventory.api.access import OFTEN, TokenView, address_of, bearer
from services.inventory.domain.credentials import is_api_key
from shared.access import Verifier
from shared.clock import Clock
from shared.errors import Forbidden
from shared.http import Routes, public
from shared.openapi import may_fail

# With this prefix a browser takes them over TLS only, and from no other host (RFC 6265bis §4.1.3.2).
BEGUN = "__Host-everleaf-login"
SESSION = "__Host-everleaf-session"
NO_TRACES = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
"""Codes and states ride in addresses, so none may be kept or passed on (RFC 9700 §4.2)."""
Short = Annotated[str | None, Query(max_length=4096)]


def sign_in_routes(signing_in: SigningIn, access: Access, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1")

    @routes.get(
        "/login",
        summary="Sign in: sends the browser to the OpenID provider",
        openapi_extra=public("who signs in has no token yet"),
        responses=may_fail(404, 502),
        status_code=303,
        response_class=RedirectResponse,
    )
    async def begin_login(
        return_to: Annotated[str, Query(max_length=2000, description="Where to go then: a path.")] = "/",
    ) -> Response:
        begun = await signing_in.begin(return_to=return_to, now=clock())
        answer = RedirectResponse(begun.address, 303, NO_TRACES)
        # Lax: the provider's redirect comes from another site, and must bring it along.
        _set(answer, BEGUN, begun.cookie, seconds=PATIENCE.total_seconds(), lax=True)
        return answer

    @routes.get(
        "/login/callback",
        summary="Where the OpenID provider sends the browser back to",
        openapi_extra=public("the provider's code and the browser's cookie are sent instead of a token"),
        responses=may_fail(401, 403, 404, 502),
        status_code=303,
        response_class=RedirectResponse,
    )
    async def finish_login(
        state: Short = None,
        code: Short = None,
        iss: Short = None,
        error: Short = None,
        *,
        begun: Annotated[str | None, Cookie(alias=BEGUN, include_in_schema=False)] = None,
    ) -> Response:
        told = {"state": state, "code": code, "iss": iss, "error": error}
        answer = {name: value for name, value in told.items() if value is not None}
        done = await signing_in.finish(answer, cookie=begun, now=clock())
        response = RedirectResponse(done.return_to, 303, NO_TRACES)
        _set(response, SESSION, done.cookie, seconds=done.lifetime.total_seconds())
        _set(response, BEGUN, "", seconds=0, lax=True)
        return response

    @routes.post(
        "/session",
        summary="Sign in with an API key or a token, sent as bearer: a session begins",
        openapi_extra=public("an API key or a token is sent, and a cookie comes back"),
        status_code=204,
        responses={**OFTEN, **may_fail(403)},
    )
    async def create_session(
        request: Request,
        response: Response,
        authorization: Annotated[str | None, Header()] = None,
        sec_fetch_site: Annotated[str | None, Header(include_in_schema=False)] = None,
    ) -> None:
        _check_ours(request.headers, sec_fetch_site)
        now, credential = clock(), bearer(authorization)
        verifier: Verifier = request.app.state.verifier
        if is_api_key(credential):
            granted = await access.exchange(credential, caller_at=address_of(request), now=now)
            principal, until = await verifier.verify(granted.token), None
        else:
            principal, until = await verifier.verify(credential), await verifier.until(credential)
        begun = await signing_in.open(principal, until=until, now=now)
        response.headers.update(NO_TRACES)
        _set(response, SESSION, begun.cookie, seconds=begun.lifetime.total_seconds())

    @routes.post(
        "/session/token",
        summary="Exchange the session's cookie for a token",
        openapi_extra=public("the session's cookie is sent instead of a token"),
        responses=may_fail(401, 403),
    )
    async def create_session_token(
        request: Request,
        response: Response,
        session: Annotated[str | None, Cookie(alias=SESSION, include_in_schema=False)] = None,
        sec_fetch_site: Annotated[str | None, Header(include_in_schema=False)] = None,
    ) -> TokenView:
        _check_ours(request.headers, sec_fetch_site)
        granted = await signing_in.token(session, now=clock())
        response.headers.update(NO_TRACES)
        return TokenView(access_token=granted.token, expires_at=granted.expires_at)

    @routes.delete(
        "/session",
        summary="Sign out: ends the session and all tokens of whose it was",
        openapi_extra=public("the session's cookie is sent instead of a token"),
        responses=may_fail(403),
        status_code=204,
    )
    async def end_session(
        request: Request,
        response: Response,
        session: Annotated[str | None, Cookie(alias=SESSION, include_in_schema=False)] = None,
        sec_fetch_site: Annotated[str | None, Header(include_in_schema=False)] = None,
    ) -> None:
        _check_ours(request.headers, sec_fetch_site)
        await signing_in.end(session, now=clock())
        _set(response, SESSION, "", seconds=0)

    return routes


def _set(response: Response, name: str, value: str, *, seconds: float, lax: bool = False) -> None:
    response.set_cookie(
        name,
        value,
        max_age=int(seconds),
        path="/",
        secure=True,
        httponly=True,
        samesite="lax" if lax else "strict",
    )


def _check_ours(headers: Mapping[str, str], site: str | None) -> None:
    """Raise `Forbidden` where another site's page asks: its cookie would come along with a laxer browser."""
    # The browser's own word where it gives one: a gateway may have changed the host.
    origin, host = headers.get("origin"), headers.get("host", "")
    is_foreign = site not in ("same-origin", "none")
    if site is None:
        is_foreign = origin is not None and origin.partition("://")[2] != host
    if is_foreign:
        raise Forbidden("This was asked by a page of another site.", next_step="Ask from the portal itself.")
