"""The HTTP face of a service: closed routes, problem documents, pages, and nothing by accident.

Errors become `application/problem+json` (RFC 9457) here and only here. A route is added through
`Routes`, which refuses one that neither declares a permission nor says that it is public and why.
"""

import base64
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from inspect import signature
from typing import Annotated, Any, Generic, TypeVar, get_type_hints

import structlog
from fastapi import APIRouter, Depends, FastAPI, Query, Request, params
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_before_validator_function
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import errors
from shared.access import Declared, Verifier
from shared.acting import Acting, acting_as, also
from shared.openapi import PROBLEM, Problem, complete, failures
from shared.store import is_away, is_unstorable
from shared.telemetry import HTTP_METHODS, REQUESTS
from shared.trace import Kind, Span, following, trace_id

log = structlog.get_logger(__name__)

MAX_BODY = 4 * 1024 * 1024
"""Bytes a request may carry; a bulk upload is sent in several."""
_MOST_AGENT = 300
"""Characters that are kept of what a client calls itself."""
_DIGITS = 19
"""No number that a database keeps has more."""

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


_EXACT = "everleaf_exact"
_HOLDS = {"schema", "fields", "items_schema", "values_schema", "choices"}
"""Where a schema of pydantic's holds others."""


def _number(value: object) -> object:
    if isinstance(value, str | bool):
        msg = "Input should be a number"
        raise PydanticCustomError("number_type", msg)
    return value


def _exact(part: Any) -> Any:
    """Return a part of a schema whose numbers and booleans are exact; models in it see to themselves."""
    match part:
        case {"type": "bool"}:
            return {**part, "strict": True}
        case {"type": "int" | "float"}:
            return no_info_before_validator_function(_number, part)
        case {"type": str(kind)}:
            held = _HOLDS & part.keys() if kind != "model" else ()
            return {**part, **{name: _exact(part[name]) for name in held}}
        case dict():
            return {name: _exact(inner) for name, inner in part.items()}
        case list():
            return [_exact(inner) for inner in part]
    return part


class Body(BaseModel):
    """What a caller sends; a field we do not know is an error, not a surprise."""

    model_config = ConfigDict(extra="forbid")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Take numbers and booleans for what they are: pydantic takes `"5"` and `"yes"` too, and no contract does."""
        schema = handler(source)
        made: Any = handler.resolve_ref_schema(schema)
        about = made.setdefault("metadata", {})
        if made["type"] == "model" and not about.get(_EXACT):
            about[_EXACT] = True  # a model that others hold comes by again
            made["schema"] = _exact(made["schema"])
        return schema

    def model_post_init(self, context: Any, /) -> None:
        """Keep why it is asked for, where the caller says so, with whatever is changed on it."""
        super().model_post_init(context)
        if isinstance(reason := getattr(self, "reason", None), str):
            also(reason=reason)


class View(BaseModel):
    """What a caller is shown."""

    model_config = ConfigDict(from_attributes=True)


T = TypeVar("T")


def of_query(kind: Callable[..., T]) -> Any:
    """Declare a parameter that is made of the query, as FastAPI's `Depends` does.

    That calls a class in a thread, for it might wait. To go there and back costs more than to answer many a question.

    >>> AllPages = Annotated[Paging, of_query(Paging)]
    """

    async def made(**given: Any) -> T:
        return kind(**given)

    made.__signature__ = signature(kind)  # type: ignore[attr-defined] # what FastAPI reads the parameters from
    return Depends(made)


class Page(View, Generic[T]):
    """One page of a list; the absence of `next_cursor` is the only sign of its end."""

    items: list[T]
    next_cursor: str | None = Field(None, description="Send it as `cursor` to get the next page.")


class Paging:
    """The query parameters of every list: `limit` (50, at most 1000) and `cursor`."""

    def __init__(
        self,
        limit: Annotated[int, Query(ge=1, description="Items per page; more than 1000 means 1000.")] = 50,
        cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
    ) -> None:
        self.limit = min(limit, 1000)
        self.after = _decode(cursor) if cursor else None

    def after_parts(self, count: int) -> list[str] | None:
        """Return what the page starts after, where its key has several parts. Raises `Invalid`."""
        if self.after is not None and len(self.after) != count:
            raise _not_ours()
        return self.after

    def after_number(self) -> int | None:
        """Return what the page starts after, where its key is a number. Raises `Invalid`."""
        parts = self.after_parts(1)
        if parts is None:
            return None
        return number_in(parts[0])

    def page(self, rows: Sequence[T], *, key: Callable[[T], Sequence[str]]) -> Page[T]:
        """Build a page from `limit + 1` rows; `key` gives what the next page starts after."""
        kept = list(rows[: self.limit])
        more = len(rows) > self.limit
        return Page(items=kept, next_cursor=_encode(key(kept[-1])) if more else None)


def _encode(key: Sequence[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(list(key)).encode()).decode()


def _decode(cursor: str) -> list[str]:
    try:
        value = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise _not_ours()
    return value


def number_in(part: str) -> int:
    """Return the number that a part of a cursor is. Raises `Invalid`."""
    if not (part.isascii() and part.isdigit() and len(part) < _DIGITS):
        raise _not_ours()
    return int(part)


def instant_in(part: str) -> datetime:
    """Return the instant, in UTC, that a part of a cursor is. Raises `Invalid`."""
    try:
        at = datetime.fromisoformat(part)
        in_utc = at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _not_ours() from None
    if at.tzinfo is None:
        raise _not_ours()
    return in_utc


def _not_ours() -> errors.Invalid:
    return errors.Invalid(
        "The cursor is not one of ours.",
        next_step="Leave it out to start from the first page.",
        faults=[errors.Fault(pointer="/query/cursor", message="not a cursor")],
    )


class OpenRoute(TypeError):
    """A route that declares no permission: the service does not start with one."""


def public(reason: str) -> dict[str, Any]:
    """Declare that a route needs no token, for `openapi_extra`."""
    return {"x-public": reason, "security": []}


class Route(APIRoute):
    """A route whose parameters stand for no word that the service has a path of its own for.

    Else what is wrong with the method there would be answered as if the word were an id.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match as any route does, but for those words."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if self.param_convertors and path in scope["app"].state.plain_paths:
            return Match.NONE, {}
        return super().matches(scope)


class Routes(APIRouter):
    """A router that is closed: every route names its permission or says why it is public."""

    def __init__(self, **options: Any) -> None:
        super().__init__(route_class=Route, **options)

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Add a route. Raises `OpenRoute` where it declares neither permission nor `public`."""
        extra = dict(options.pop("openapi_extra", None) or {})
        declared = _declared(endpoint)
        if declared is None and "x-public" not in extra:
            raise OpenRoute(f"{path} ({endpoint.__name__}) declares no permission.")
        if declared is not None:
            extra["x-permission"] = declared.permission
        if declared is not None and declared.everything:
            extra["x-scope"] = "everything"
        options["operation_id"] = options.get("operation_id") or endpoint.__name__
        known = failures(
            self.prefix + path, set(options.get("methods") or ()), hints=get_type_hints(endpoint), extra=extra
        )
        options["responses"] = {**known, **(options.get("responses") or {})}
        super().add_api_route(path, endpoint, openapi_extra=extra, **options)


def _declared(endpoint: Callable[..., Any]) -> Declared | None:
    for hint in get_type_hints(endpoint, include_extras=True).values():
        for marker in getattr(hint, "__metadata__", ()):
            if isinstance(marker, params.Depends):
                found = getattr(marker.dependency, "declared", None)
                if isinstance(found, Declared):
                    return found
    return None


def create_api(*, name: str, summary: str, routers: Sequence[Routes], verifier: Verifier) -> FastAPI:
    """Build a service's API. Raises `OpenRoute` where a route is not closed."""
    api = FastAPI(
        title=f"Everleaf {name}",
        summary=summary,
        version="1",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        redoc_url=None,
        servers=[{"url": f"/{name}"}],
        root_path_in_servers=False,
    )
    api.state.verifier = verifier
    for router in routers:
        api.include_router(router, tags=[name])
    api.state.routers = tuple(routers)
    api.state.known_routes = tuple(api.routes)
    api.state.plain_paths = frozenset(_plain_paths(routers))
    _tell_all(api)
    refuse_open_routes(api)
    _add_error_handlers(api)
    api.add_middleware(Limits)
    api.add_middleware(Measured, service=name)
    return api


def _plain_paths(routers: Sequence[Routes]) -> Iterator[str]:
    """Yield the paths that have no parameter."""
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute) and not route.param_convertors:
                yield route.path


def _tell_all(api: FastAPI) -> None:
    def schema() -> dict[str, Any]:
        if api.openapi_schema is None:
            document = get_openapi(
                title=api.title,
                summary=api.summary,
                version=api.version,
                routes=api.routes,
                servers=api.servers,
                license_info=api.license_info,
            )
            complete(document, problem=_problem_name(document))
            for unused in ("HTTPValidationError", "ValidationError"):
                document.get("components", {}).get("schemas", {}).pop(unused, None)
            api.openapi_schema = document
        return api.openapi_schema

    api.openapi = schema  # type: ignore[method-assign] # FastAPI's documented way to extend it


def _problem_name(document: dict[str, Any]) -> str:
    # FastAPI puts the module before the name where a service has another model called `Problem`.
    full = f"{Problem.__module__}.{Problem.__name__}".replace(".", "__")
    return full if full in document["components"]["schemas"] else Problem.__name__


def refuse_open_routes(api: FastAPI) -> None:
    """Raise `OpenRoute` where a route got past `Routes`, be it hidden from the contract or added late."""
    for route in _strangers(api):
        name = getattr(route, "path", None) or type(route).__name__
        raise OpenRoute(f"{name} of {api.title} was not added through Routes and create_api.")


def _strangers(api: FastAPI) -> Iterator[BaseRoute | APIRouter]:
    known = getattr(api.state, "known_routes", ())
    yield from (route for route in api.routes if route not in known)
    for router in getattr(api.state, "routers", ()):
        if not isinstance(router, Routes):
            yield router
        yield from (route for route in router.routes if not _is_closed(route))


def _is_closed(route: BaseRoute) -> bool:
    extra = (route.openapi_extra or {}) if isinstance(route, APIRoute) else {}
    return "x-permission" in extra or "x-public" in extra


def _add_error_handlers(api: FastAPI) -> None:
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


def _unforeseen(request: Request, error: Exception) -> JSONResponse:
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


class Limits:
    """Middleware: one trace per request, no body beyond `MAX_BODY`, and no error without an answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Follow the caller's trace, count the body's bytes, and answer what nobody foresaw."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        asked_in = headers.get(b"traceparent", b"").decode("latin-1")
        with (
            following(asked_in, name=_method(scope), kind=Kind.SERVER) as span,
            acting_as(_stranger(scope, headers)),
        ):
            bounded = _bounded(receive, declared=headers.get(b"content-length", b"0"))
            await self._answered(scope, bounded, send if span is None else _telling(span, scope, send))

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Not a handler of Starlette's for `Exception`: those run outside of this, without the trace.
        has_started = False

        async def watched(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            answer = _unforeseen(Request(scope), error)
            if has_started:
                raise
            await answer(scope, receive, send)


def _method(scope: Scope) -> str:
    """Return the method of a request, or `_OTHER`: one that a stranger has made up is not told to anybody."""
    method: str = scope["method"]
    return method if method in HTTP_METHODS else "_OTHER"


def _telling(span: Span, scope: Scope, send: Send) -> Send:
    """Have a span say what the answer was, in the names of the semantic conventions."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            route = scope.get("root_path", "") + getattr(scope.get("route"), "path", "/unmatched")
            answer = {
                "http.request.method": _method(scope),
                "http.route": route,
                "http.response.status_code": message["status"],
            }
            span.tell(answer, name=f"{_method(scope)} {route}")
        await send(message)

    return told


def _stranger(scope: Scope, headers: Mapping[bytes, bytes]) -> Acting:
    """Return who is acting before any token is read."""
    client = scope.get("client")
    return Acting(
        address=client[0] if client else None,
        agent=headers.get(b"user-agent", b"").decode("latin-1")[:_MOST_AGENT] or None,
        operation=f"{scope['method']} {scope['path']}"[:_MOST_AGENT],
    )


class Measured:
    """Middleware: how long each route takes, by its template and never by the path asked for."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Time a request from its first byte to the end of the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            labels = (self._service, _method(scope), route, str(status))
            REQUESTS.labels(*labels).observe(time.perf_counter() - began)


def _bounded(receive: Receive, *, declared: bytes) -> Receive:
    taken = 0
    refused = HTTPException(413, f"The body is larger than {MAX_BODY} bytes")

    async def bounded() -> Message:
        nonlocal taken
        if declared.isdigit() and int(declared) > MAX_BODY:
            raise refused
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MAX_BODY:
            raise refused
        return message

    return bounded


def etag(version: int) -> str:
    """Return the `ETag` of a row's version."""
    return f'"{version}"'


def check_if_match(header: str | None, *, version: int) -> None:
    """Raise `Stale` where `If-Match` names other versions than the present one (RFC 9110 §13.1.1)."""
    named = {part.strip() for part in (header or "*").split(",")}
    if not named & {"*", etag(version)}:
        raise errors.Stale(
            "It was changed since you read it.", next_step="Read it again, and repeat the change on that."
        )
