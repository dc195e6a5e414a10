import base64
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx
import pytest
import sqlalchemy as sa
import structlog
from fastapi import APIRouter, FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError
from starlette.routing import Route

from shared import errors
from shared.access import Principal, Verifier, requires
from shared.http import (
    MAX_BODY,
    Body,
    OpenRoute,
    Page,
    Paging,
    Routes,
    View,
    check_if_match,
    create_api,
    etag,
    instant_in,
    number_in,
    of_query,
    public,
    refuse_open_routes,
)
from shared.logs import add_trace
from shared.openapi import PROBLEM, resolved
from shared.store import Database
from shared.trace import trace_id
from tests.builders import ISSUER, KnownKey, bearer
from tests.servers.processes import free_port

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


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A client of the garden; an error that is not answered would come through to the test."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(garden()), base_url="http://test") as made:
        yield made


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


# Closed routes


def test_a_route_that_declares_no_permission_cannot_be_defined():
    made = Routes()
    with pytest.raises(OpenRoute, match=r"/open \(endpoint\) declares no permission"):

        @made.get("/open")
        async def endpoint() -> None: ...


def test_a_route_cannot_claim_a_permission_that_it_does_not_check():
    made = Routes()
    with pytest.raises(OpenRoute):

        @made.get("/open", openapi_extra={"x-permission": "trees:read"})
        async def endpoint() -> None: ...


def test_a_hidden_route_must_declare_a_permission_too():
    made = Routes()
    with pytest.raises(OpenRoute):

        @made.get("/open", include_in_schema=False)
        async def endpoint() -> None: ...


async def nothing() -> None: ...


@pytest.mark.parametrize("hidden", [False, True])
def test_a_route_of_a_plain_router_is_refused(hidden: bool):
    plain = APIRouter()
    plain.add_api_route("/open", nothing, include_in_schema=not hidden)
    with pytest.raises(OpenRoute, match="APIRouter"):
        garden(plain)  # type: ignore[arg-type] # wrong on purpose


def test_a_plain_router_inside_ours_is_refused():
    plain = APIRouter()
    plain.add_api_route("/open", nothing)
    outer = routes()
    outer.include_router(plain)
    with pytest.raises(OpenRoute):
        garden(outer)


def test_a_mounted_application_inside_ours_is_refused():
    outer = routes()
    outer.mount("/open", FastAPI())
    with pytest.raises(OpenRoute, match="/open"):
        garden(outer)


def test_a_websocket_is_refused():
    outer = routes()
    outer.add_api_websocket_route("/open", nothing)
    with pytest.raises(OpenRoute, match="/open"):
        garden(outer)


LATE: dict[str, Callable[[FastAPI], object]] = {
    "a route": lambda api: api.add_api_route("/open", nothing),
    "a hidden route": lambda api: api.add_api_route("/open", nothing, include_in_schema=False),
    "a route of Starlette": lambda api: api.router.routes.append(Route("/open", nothing)),
    "an application": lambda api: api.mount("/open", FastAPI()),
    "a router": lambda api: api.include_router(APIRouter()),
    "a claim": lambda api: api.add_api_route("/open", nothing, openapi_extra={"x-permission": "a:read"}),
}


@pytest.mark.parametrize("kind", LATE)
def test_what_is_added_to_a_finished_api_is_refused_when_the_service_is_assembled(kind: str):
    api = garden()
    refuse_open_routes(api)
    LATE[kind](api)
    with pytest.raises(OpenRoute):
        refuse_open_routes(api)


def test_an_api_that_create_api_has_not_built_is_refused():
    with pytest.raises(OpenRoute):
        refuse_open_routes(FastAPI())


async def test_without_a_token_the_answer_says_how_to_ask(client: httpx.AsyncClient):
    answer = await client.get("/v1/trees")
    assert "no token" in problem(answer, 401)["detail"]
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["Bearer rubbish", "Bearer ", "Basic YTpi", "rubbish"])
async def test_with_something_else_than_a_token_it_is_the_same(client: httpx.AsyncClient, header: str):
    answer = await client.get("/v1/trees", headers={"Authorization": header})
    problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_token_is_looked_at_before_the_body(client: httpx.AsyncClient):
    problem(await client.post("/v1/trees", json={"leaves": 3}), 401)


async def test_a_caller_without_the_permission_is_forbidden(client: httpx.AsyncClient):
    answer = await client.post("/v1/trees", json={"kind": "oak"}, headers=bearer("viewer"))
    assert "trees:write" in problem(answer, 403)["detail"]


async def test_a_caller_with_the_permission_may(client: httpx.AsyncClient):
    answer = await client.post("/v1/trees", json={"kind": "oak"}, headers=bearer("operator"))
    assert (answer.status_code, answer.json()) == (201, {"kind": "oak"})
    assert (await client.get("/v1/trees", headers=bearer("viewer"))).status_code == 200


# Bad requests


@pytest.mark.parametrize("content", ["{", "", "nonsense", "\x00"])
async def test_a_body_that_is_not_json_is_400(client: httpx.AsyncClient, content: str):
    headers = {**bearer("operator"), "Content-Type": "application/json"}
    answer = await client.post("/v1/trees", content=content, headers=headers)
    status = 400 if content else 422  # nothing at all is a missing body, not broken JSON
    problem(answer, status)


async def test_a_body_in_another_character_set_is_400(client: httpx.AsyncClient):
    headers = {**bearer("operator"), "Content-Type": "application/json"}
    problem(await client.post("/v1/trees", content=b'{"kind": "\xff"}', headers=headers), 400)


async def test_a_deeply_nested_body_is_a_problem_and_not_a_crash(client: httpx.AsyncClient):
    headers = {**bearer("operator"), "Content-Type": "application/json"}
    problem(await client.post("/v1/trees", content="[" * 100_000, headers=headers), 400)


async def test_an_unknown_field_is_422_and_pointed_at(client: httpx.AsyncClient):
    answer = await client.post("/v1/trees", json={"kind": "oak", "leaves": 3}, headers=bearer("operator"))
    assert [fault["pointer"] for fault in problem(answer, 422)["errors"]] == ["/body/leaves"]


async def test_every_wrong_field_is_listed(client: httpx.AsyncClient):
    answer = await client.post("/v1/trees", json={"height": "tall"}, headers=bearer("operator"))
    assert [fault["pointer"] for fault in problem(answer, 422)["errors"]] == ["/body/kind", "/body/height"]


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, 65536):
        yield b" " * 65536


@pytest.mark.parametrize("path", ["/v1/trees", "/v1/trees/raw"])
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_that_is_too_large_is_413_with_the_limit(
    client: httpx.AsyncClient, path: str, is_chunked: bool
):
    content = chunks(MAX_BODY + 65536) if is_chunked else b" " * (MAX_BODY + 1)
    headers = {**bearer("operator"), "Content-Type": "application/json"}
    document = problem(await client.post(path, content=content, headers=headers), 413)
    assert document["type"].endswith("/too-large")
    assert str(MAX_BODY) in document["next_step"]


async def test_of_a_body_declared_too_large_nothing_is_read():
    read = []

    async def receive() -> dict[str, Any]:
        read.append(1)
        return {"type": "http.request", "body": b"", "more_body": False}

    sent = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-length", str(MAX_BODY + 1).encode())]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/trees/raw",
        "raw_path": b"/v1/trees/raw",
        "query_string": b"",
        "headers": headers,
        "root_path": "",
    }
    await garden()(scope, receive, send)
    assert (sent[0]["status"], read) == (413, [])


async def test_a_body_of_exactly_the_limit_is_taken(client: httpx.AsyncClient):
    answer = await client.post("/v1/trees/raw", content=b" " * MAX_BODY)
    assert answer.json() == MAX_BODY


async def test_an_unknown_route_is_a_problem(client: httpx.AsyncClient):
    document = problem(await client.get("/v1/flowers"), 404)
    assert document["instance"] == "/v1/flowers"
    assert "openapi.json" in document["next_step"]


@pytest.mark.parametrize("height", ["5", True, 1.5, "yes", None])
async def test_a_number_is_taken_for_what_it_is(client: httpx.AsyncClient, height: object):
    answer = await client.post("/v1/trees", json={"kind": "oak", "height": height}, headers=bearer("admin"))
    assert [fault["pointer"] for fault in problem(answer, 422)["errors"]] == ["/body/height"]


@pytest.mark.parametrize("height", [5, 5.0])
async def test_a_number_without_a_fraction_is_whole(client: httpx.AsyncClient, height: float):
    answer = await client.post("/v1/trees", json={"kind": "oak", "height": height}, headers=bearer("admin"))
    assert answer.status_code == 201


def test_booleans_and_numbers_are_exact_wherever_they_are_held():
    class Leaf(Body):
        is_green: bool

    class Wood(Body):
        leaves: list[Leaf] = Field([])
        by_name: dict[str, Leaf | None] = Field({})
        sizes: tuple[float, ...] = ()

    assert Wood.model_validate({"leaves": [{"is_green": True}], "sizes": [1, 2.5]}).sizes == (1, 2.5)
    for wrong in (
        {"leaves": [{"is_green": "yes"}]},
        {"by_name": {"oak": {"is_green": 1}}},
        {"sizes": ["2.5"]},
    ):
        with pytest.raises(ValidationError):
            Wood.model_validate(wrong)


async def test_a_wrong_method_is_a_problem_that_names_the_right_ones(client: httpx.AsyncClient):
    answer = await client.delete("/v1/trees/trace")
    problem(answer, 405)
    assert answer.headers["allow"] == "GET"


async def test_a_word_with_a_path_of_its_own_is_nothing_that_a_parameter_stands_for():
    made = Routes(prefix="/v1/trees")

    @made.patch("/{kind}", summary="Change a tree", openapi_extra=public("a test"))
    async def change_tree(kind: str) -> str:
        return kind

    @made.get("/count", summary="Count trees", openapi_extra=public("a test"))
    async def count_trees() -> int:
        return 3

    transport = httpx.ASGITransport(garden(made))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.patch("/v1/trees/count")
        problem(answer, 405)
        assert answer.headers["allow"] == "GET"
        assert (await client.patch("/v1/trees/oak")).json() == "oak"


async def test_the_right_methods_are_those_of_every_route_of_the_path(client: httpx.AsyncClient):
    answer = await client.options("/v1/trees")
    assert answer.headers["allow"] == "GET, POST"


# Errors


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ("Invalid", 422),
        ("TooLarge", 422),
        ("Unauthenticated", 401),
        ("Forbidden", 403),
        ("NotFound", 404),
        ("Conflict", 409),
        ("Stale", 412),
        ("Refused", 502),
        ("Unavailable", 503),
    ],
)
async def test_each_kind_of_error_has_its_status(client: httpx.AsyncClient, how: str, status: int):
    document = problem(await client.get(f"/v1/trees/fail/{how}"), status)
    assert (document["detail"], document["next_step"]) == ("No.", "Do.")


async def test_the_faults_of_an_error_are_listed(client: httpx.AsyncClient):
    document = problem(await client.get("/v1/trees/fail/Invalid"), 422)
    assert document["errors"] == [{"pointer": "/body/kind", "message": "no such kind"}]


async def test_what_nobody_foresaw_is_500_without_internals_and_logged_under_its_trace(
    client: httpx.AsyncClient,
):
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    with structlog.testing.capture_logs(processors=[add_trace]) as lines:
        answer = await client.get("/v1/trees/fail/unforeseen", headers=headers)
    assert [(line["event"], line["trace_id"]) for line in lines] == [("request.failed", TRACE)]
    assert problem(answer, 500)["trace_id"] == TRACE
    assert "sesame" not in answer.text
    assert "RuntimeError" not in answer.text


async def test_a_database_that_is_away_is_503_without_its_statement(client: httpx.AsyncClient):
    answer = await client.get("/v1/trees/fail/database")
    assert "database" in problem(answer, 503)["detail"]
    assert "sesame" not in answer.text


async def test_a_number_that_the_database_does_not_take_is_422(client: httpx.AsyncClient):
    assert problem(await client.get("/v1/trees/fail/number"), 422)["next_step"]


async def test_a_database_that_really_is_not_there_is_503():
    database = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/none", source="garden")
    made = Routes()

    @made.get("/v1/count", summary="Count", openapi_extra=public("a test"))
    async def counted() -> None:
        async with database.transaction() as tx:
            await tx.session.execute(sa.text("SELECT 1"))

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(garden(made)), base_url="http://test"
    ) as client:
        problem(await client.get("/v1/count"), 503)
    await database.close()


async def test_the_callers_trace_is_followed(client: httpx.AsyncClient):
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    assert (await client.get("/v1/trees/trace", headers=headers)).json() == TRACE
    assert problem(await client.get("/v1/trees", headers=headers), 401)["trace_id"] == TRACE


async def test_requests_without_a_trace_get_one_each(client: httpx.AsyncClient):
    seen = {(await client.get("/v1/trees/trace")).json() for _ in range(3)}
    assert len(seen) == 3


# Pages


async def test_pages_follow_one_another_to_the_end(client: httpx.AsyncClient):
    kinds, cursor = [], None
    while True:
        parameters = {"limit": 999} | ({"cursor": cursor} if cursor else {})
        answer = (await client.get("/v1/trees", params=parameters, headers=bearer("viewer"))).json()
        kinds += [tree["kind"] for tree in answer["items"]]
        cursor = answer["next_cursor"]
        if cursor is None:
            break
    assert kinds == [str(number) for number in range(2500)]


@pytest.mark.parametrize(
    ("asked", "got"), [("", 50), ("?limit=1", 1), ("?limit=1000", 1000), ("?limit=99999", 1000)]
)
async def test_a_page_has_50_items_and_never_more_than_1000(client: httpx.AsyncClient, asked: str, got: int):
    answer = await client.get(f"/v1/trees{asked}", headers=bearer("viewer"))
    assert len(answer.json()["items"]) == got


@pytest.mark.parametrize("limit", ["0", "-1", "many"])
async def test_a_limit_that_is_none_is_422(client: httpx.AsyncClient, limit: str):
    answer = await client.get("/v1/trees", params={"limit": limit}, headers=bearer("viewer"))
    assert problem(answer, 422)["errors"][0]["pointer"] == "/query/limit"


@pytest.mark.parametrize(
    "document", ["nonsense", "7", "{}", "[1]", '["a", null]', "[" * 40_000], ids=lambda text: text[:10]
)
async def test_a_cursor_that_is_not_ours_is_422(client: httpx.AsyncClient, document: str):
    cursor = base64.urlsafe_b64encode(document.encode()).decode()
    answer = await client.get("/v1/trees", params={"cursor": cursor}, headers=bearer("viewer"))
    assert problem(answer, 422)["errors"][0]["pointer"] == "/query/cursor"


@given(st.text())
def test_no_cursor_raises_anything_but_invalid(cursor: str):
    with contextlib.suppress(errors.Invalid):
        Paging(cursor=cursor)


@pytest.mark.parametrize(
    "part", ["", "2026-03-03", "2026-03-03T12:00:00", "0001-01-01T00:00:00+14:00", "noon"]
)
def test_a_part_of_a_cursor_that_is_no_instant_with_an_offset_is_not_ours(part: str):
    with pytest.raises(errors.Invalid, match="cursor"):
        instant_in(part)


def test_a_part_of_a_cursor_is_an_instant_in_utc_or_a_number():
    assert instant_in("2026-03-03T13:00:00+01:00") == datetime(2026, 3, 3, 12, tzinfo=UTC)
    assert number_in("17") == 17
    for part in ("²", "-1", "1" * 19, ""):
        with pytest.raises(errors.Invalid, match="cursor"):
            number_in(part)


# Versions


@pytest.mark.parametrize("header", [None, "*", '"3"', '"2", "3"'])
def test_a_present_version_may_be_changed(header: str | None):
    check_if_match(header, version=3)


@pytest.mark.parametrize("header", ['"2"', "3", 'W/"3"', '""', "rubbish", '"2", "4"'])
def test_another_version_is_stale(header: str):
    with pytest.raises(errors.Stale):
        check_if_match(header, version=3)
    assert etag(3) == '"3"'


# The contract


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for operation in path.values()]


def test_the_contract_says_who_may_do_what_and_how_it_fails():
    document = json.loads(json.dumps(garden().openapi()))
    assert document["openapi"].startswith("3.1.")
    for operation in operations(document):
        assert ("x-permission" in operation) != ("x-public" in operation)
        assert operation["summary"]
        failures = {
            code: resolved(document, answer)
            for code, answer in operation["responses"].items()
            if code >= "400"
        }
        assert {"422", "503"} <= failures.keys()
        assert {"401", "403"} <= failures.keys() or "x-public" in operation
        assert all(list(answer["content"]) == [PROBLEM] for answer in failures.values())
    names = [operation["operationId"] for operation in operations(document)]
    assert sorted(names) == ["count_bytes", "fail", "list_trees", "plant_tree", "tell_trace"]


def test_a_model_that_is_called_problem_too_does_not_take_the_place_of_ours():
    class Problem(View):
        kind: str

    made = routes()

    @made.get("/problems", summary="List pests", openapi_extra=public("a test"))
    async def list_pests() -> list[Problem]:
        return []

    document = garden(made).openapi()
    told = operation_named(document, "list_pests")["responses"]["503"]
    (failure,) = resolved(document, told)["content"].values()
    name = failure["schema"]["$ref"].rsplit("/", maxsplit=1)[-1]
    assert "next_step" in document["components"]["schemas"][name]["properties"]


def operation_named(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(operation for operation in operations(document) if operation["operationId"] == name)


async def test_the_contract_and_its_page_need_no_token(client: httpx.AsyncClient):
    assert (await client.get("/openapi.json")).json()["info"]["title"] == "Everleaf garden"
    assert (await client.get("/docs")).status_code == 200
    assert (await client.get("/redoc")).status_code == 404


def test_nothing_is_logged_by_building_an_api(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG):
        garden()
    assert not caplog.records
