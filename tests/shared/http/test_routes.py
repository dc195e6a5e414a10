from collections.abc import Callable

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from starlette.routing import Route

from shared.http import (
    OpenRoute,
    Routes,
    public,
    refuse_open_routes,
)
from tests.builders import bearer
from tests.shared.http.garden import garden, problem, routes


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
