"""Serves the portal: the files that `make portal` has built, under a policy that lets nothing else into the page."""

import secrets
from collections.abc import Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

BUILT = Path(__file__).parent / "dist"
_FOLDERS = ("assets", "downloads")
"""Beside what the page is made of, the worker that has answers written into files: it serves the folder it is in."""
_NONCE = "__NONCE__"
_FOR_EVER = "public, max-age=31536000, immutable"
# The component library writes its theme into a style element of its own, which carries the nonce.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def portal_routes(folder: Path = BUILT) -> Sequence[BaseRoute]:
    """Return the routes of the portal, the last of which takes every path; none where it was not built."""
    if not (folder / "index.html").is_file():
        return []
    page = (folder / "index.html").read_text()

    async def shown(request: Request) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            # A program has asked for something that is not here: a page would look like an answer.
            return PlainTextResponse("There is nothing here.\n", status_code=404)
        nonce = secrets.token_urlsafe(16)
        headers = {**_HEADERS, "Content-Security-Policy": _POLICY.format(nonce=nonce)}
        return HTMLResponse(page.replace(_NONCE, nonce), headers=headers)

    files = [Mount(f"/{name}", _Files(directory=folder / name, check_dir=False)) for name in _FOLDERS]
    return [*files, Route("/{path:path}", shown)]


class _Files(StaticFiles):
    """Files beside the page; those whose names change with what is in them a browser asks for once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["X-Content-Type-Options"] = "nosniff"
        if "-" in Path(path).stem:
            response.headers["Cache-Control"] = _FOR_EVER
        return response
