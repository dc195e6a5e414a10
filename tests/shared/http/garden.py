"""A service with trees, and what each of its problem documents has."""

from typing import Annotated, Any

import httpx
import sqlalchemy as sa
from fastapi import FastAPI, Request

from shared import errors
from shared.access import Principal, Verifier, requires
from shared.http import (
    Body,
    Page,
    Paging,
    Routes,
    View,
    create_api,
    of_query,
    public,
)
from shared.openapi import PROBLEM
from shared.trace import trace_id
from tests.builders import ISSUER, KnownKey

Reader = Annotated[Principal, requires("trees:read")]
Writer = Annotated[Principal, requires("trees:write")]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Planting(Body):
    kind: str
    height: int = 1


class Tree(View):
    kind: str


def routes() -> Routes:
    made = Routes(prefix="/v1/trees")

    @made.get("", summary="List trees")
    async def list_trees(_caller: Reader, paging: Annotated[Paging, of_query(Paging)]) -> Page[Tree]:
        start = int(paging.after[0]) + 1 if paging.after else 0
        rows = [Tree(kind=str(number)) for number in range(start, min(2500, start + paging.limit + 1))]
        return paging.page(rows, key=lambda tree: [tree.kind])

    @made.post("", summary="Plant a tree", status_code=201)
    async def plant_tree(_caller: Writer, body: Planting) -> Tree:
        return Tree(kind=body.kind)

    @made.get("/trace", summary="Tell the trace", openapi_extra=public("a test"))
    async def tell_trace() -> str:
        return trace_id()

    @made.post("/raw", summary="Count bytes", openapi_extra=public("a test"))
    async def count_bytes(request: Request) -> int:
        return len(await request.body())

    @made.get("/fail/{how}", summary="Fail", openapi_extra=public("a test"))
    async def fail(how: str) -> None:
        raise FAILURES[how]

    return made


FAILURES: dict[str, Exception] = {
    "Invalid": errors.Invalid(
        "No.", next_step="Do.", faults=[errors.Fault(pointer="/body/kind", message="no such kind")]
    ),
    "TooLarge": errors.TooLarge("No.", next_step="Do."),
    "Unauthenticated": errors.Unauthenticated("No.", next_step="Do."),
    "Forbidden": errors.Forbidden("No.", next_step="Do."),
    "NotFound": errors.NotFound("No.", next_step="Do."),
    "Conflict": errors.Conflict("No.", next_step="Do."),
    "Stale": errors.Stale("No.", next_step="Do."),
    "Refused": errors.Refused("No.", next_step="Do."),
    "Unavailable": errors.Unavailable("No.", next_step="Do."),
    "number": OverflowError("Python int too large to convert to SQLite INTEGER"),
    "unforeseen": RuntimeError("the password is sesame"),
    "database": sa.exc.OperationalError("SELECT sesame", {}, OSError("gone")),
}


def garden(*routers: Routes) -> FastAPI:
    verifier = Verifier(KnownKey(), issuer=ISSUER)
    return create_api(name="garden", summary="Trees.", routers=routers or [routes()], verifier=verifier)


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Return the problem document, after looking at what all of them have (RFC 9457 §3)."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["type"].startswith("https://everleaf.dev/problems/")
    assert document["title"]
    assert document["detail"]
    assert document["next_step"]
    assert len(document["trace_id"]) == 32
    return document
