import httpx
import pytest
import sqlalchemy as sa
import structlog

from shared.http import (
    Routes,
    public,
)
from shared.logs import add_trace
from shared.store import Database
from tests.servers.processes import free_port
from tests.shared.http.garden import TRACE, garden, problem


async def test_an_unknown_route_is_a_problem(client: httpx.AsyncClient):
    document = problem(await client.get("/v1/flowers"), 404)
    assert document["instance"] == "/v1/flowers"
    assert "openapi.json" in document["next_step"]


async def test_a_wrong_method_is_a_problem_that_names_the_right_ones(client: httpx.AsyncClient):
    answer = await client.delete("/v1/trees/trace")
    problem(answer, 405)
    assert answer.headers["allow"] == "GET"


async def test_the_right_methods_are_those_of_every_route_of_the_path(client: httpx.AsyncClient):
    answer = await client.options("/v1/trees")
    assert answer.headers["allow"] == "GET, POST"


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
