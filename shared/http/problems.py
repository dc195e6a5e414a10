"""Errors become `application/problem+json` (RFC 9457) here and only here."""

import math
from collections.abc import Mapping, Sequence

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from shared import errors
from shared.http.bodies import MAX_BODY
from shared.openapi import PROBLEM, Problem
from shared.store import is_away, is_unstorable
from shared.trace import trace_id

log = structlog.get_logger(__name__)

STATUS: dict[type[errors.EverleafError], int] = {
    errors.TooLarge: 422,
    errors.Invalid: 422,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Stale: 412,
    errors.Conflict: 409,
    errors.TooMany: 429,
    errors.Refused: 502,
    errors.Unavailable: 503,
}


def add_error_handlers(api: FastAPI) -> None:
    """Have an API answer every error that is foreseen with a problem document."""

    @api.exception_handler(errors.EverleafError)
    async def known(request: Request, error: errors.EverleafError) -> JSONResponse:
        status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
        faults = [_shown_fault(fault) for fault in error.faults]
        return _problem(
            request,
            error.slug,
            error.title,
            status,
            detail=error.detail,
            next_step=error.next_step,
            faults=faults,
            headers=retry_after(error),
        )

    @api.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return _invalid(request, error)

    @api.exception_handler(HTTPException)
    async def routing(request: Request, error: HTTPException) -> JSONResponse:
        slug, next_step = _ROUTING.get(error.status_code, ("http", _SEE_CONTRACT))
        return _problem(
            request,
            slug,
            str(error.detail),
            error.status_code,
            detail=f"{request.method} {request.url.path}: {error.detail}.",
            next_step=next_step,
            headers={**(error.headers or {}), **_allowed(request, error)},
        )


def _allowed(request: Request, error: HTTPException) -> dict[str, str]:
    """Return the header with every method that a path has: the router's own has those of the first route alone."""
    if error.status_code != 405:  # noqa: PLR2004 - RFC 9110 §15.5.6
        return {}
    path = getattr(request.scope.get("route"), "path", None)
    same = (
        route
        for router in request.app.state.routers
        for route in router.routes
        if isinstance(route, APIRoute) and route.path == path
    )
    return {"Allow": ", ".join(sorted({method for route in same for method in route.methods or ()}))}


def retry_after(error: errors.EverleafError) -> dict[str, str]:
    """Return the header that says when to try again (RFC 9110 §10.2.3), where an error knows."""
    if not isinstance(error, errors.TooMany):
        return {}
    return {"Retry-After": str(math.ceil(error.retry_after.total_seconds()))}


def _shown_fault(fault: errors.Fault) -> dict[str, str]:
    shown = {"pointer": fault.pointer, "message": fault.message}
    return shown if fault.column is None else {**shown, "column": str(fault.column)}


_SEE_CONTRACT = "See the contract at openapi.json for what there is."
_ROUTING = {
    404: ("no-such-route", _SEE_CONTRACT),
    405: ("no-such-method", "Use one of the methods in the header `Allow`."),
    413: ("too-large", f"Send it in several requests of at most {MAX_BODY} bytes each."),
}


def unforeseen(request: Request, error: Exception) -> JSONResponse:
    """Answer what nobody has foreseen: the log is told of it, the caller of nothing that is inside."""
    if is_away(error):
        log.warning("request.database_away", path=request.url.path, error=type(error).__name__)
        return _problem(
            request,
            errors.Unavailable.slug,
            "The database does not answer",
            503,
            detail="The request could not be completed, because the database of this service does not answer.",
            next_step="Try again shortly.",
        )
    if is_unstorable(error):
        log.warning("request.unstorable_value", path=request.url.path)
        return _problem(
            request,
            errors.Invalid.slug,
            errors.Invalid.title,
            422,
            detail="The request holds a value that the database does not take, such as a text with a NUL in it.",
            next_step="Leave the characters out that cannot be seen, and keep numbers within their limits.",
        )
    log.error("request.failed", path=request.url.path, exc_info=error)
    return _problem(
        request,
        "internal",
        "Something went wrong on our side",
        500,
        detail="The request could not be completed.",
        next_step="Try again; if it stays, look up the trace id in the log.",
    )


def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    problems = error.errors()
    not_json = any(problem["type"] == "json_invalid" for problem in problems)
    faults = [
        {"pointer": "/" + "/".join(str(part) for part in problem["loc"]), "message": problem["msg"]}
        for problem in problems
    ]
    return _problem(
        request,
        "not-json" if not_json else "invalid",
        "The body is not JSON" if not_json else errors.Invalid.title,
        400 if not_json else 422,
        detail="; ".join(f"{fault['pointer']}: {fault['message']}" for fault in faults[:5]),
        next_step="Correct the fields listed in `errors` and send it again.",
        faults=faults,
    )


def _problem(
    request: Request,
    slug: str,
    title: str,
    status: int,
    *,
    detail: str,
    next_step: str,
    faults: Sequence[dict[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    document = Problem(
        type=f"https://everleaf.dev/problems/{slug}",
        title=title,
        status=status,
        detail=detail,
        instance=request.url.path,
        next_step=next_step,
        trace_id=trace_id(),
        errors=list(faults),
    )
    asking = {"WWW-Authenticate": "Bearer"} if status == 401 else {}  # noqa: PLR2004 - RFC 6750 §3
    return JSONResponse(document.model_dump(), status, {**(headers or {}), **asking}, PROBLEM)
