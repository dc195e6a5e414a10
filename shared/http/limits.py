"""Middleware around every route: what a request may take, and how long it took."""

import time
from collections.abc import Mapping

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.acting import Acting, acting_as
from shared.http.bodies import MAX_BODY
from shared.http.problems import unforeseen
from shared.telemetry import HTTP_METHODS, REQUESTS
from shared.trace import Kind, Span, following

_MOST_AGENT = 300
"""Characters that are kept of what a client calls itself."""


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
            answer = unforeseen(Request(scope), error)
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
