"""Discovery's HTTP door."""

from collections.abc import AsyncIterator

import httpx
import pytest

from shared.service import Service
from tests.builders import bearer


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """An operator's client."""
    transport = httpx.ASGITransport(service.api)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://t", headers=bearer("operator")
    ) as opened:
        yield opened


async def test_without_a_token_nothing_is_answered(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/scans", headers={"Authorization": ""})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["next_step"]


async def test_scanning_takes_an_operator(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/scans", json={"targets": ["127.0.0.1"]}, headers=bearer("viewer"))
    assert answer.status_code == 403


async def test_a_scan_is_queued_with_a_location(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/scans", json={"targets": ["127.0.0.1"], "ports": "1-3"})
    assert answer.status_code == 202
    scan = answer.json()
    assert answer.headers["location"] == f"/discovery/v1/scans/{scan['id']}"
    assert (scan["state"], scan["total"], scan["percent"]) == ("queued", 3, 0)
    listed = (await client.get("/v1/scans")).json()["items"]
    assert [item["id"] for item in listed] == [scan["id"]]
    assert (await client.post(f"/v1/scans/{scan['id']}/cancel")).json()["state"] == "cancelled"


async def test_a_repeated_request_starts_one_scan(client: httpx.AsyncClient) -> None:
    body, key = {"targets": ["127.0.0.1"]}, {"Idempotency-Key": "one"}
    first = await client.post("/v1/scans", json=body, headers=key)
    second = await client.post("/v1/scans", json=body, headers=key)
    assert first.json()["id"] == second.json()["id"]
    assert len((await client.get("/v1/scans")).json()["items"]) == 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"targets": ["10.0.0.0/4"]}, "/body/targets"),
        ({"targets": ["127.0.0.1"], "ports": "70000"}, "/body/ports"),
        ({"targets": ["127.0.0.1:70000"]}, "/body/targets/0"),
        ({"targets": ["no-such-host.invalid"]}, "/body/targets/0"),
        ({"targets": ["127.0.0.1"], "exclude": ["x"]}, "/body/exclude/0"),
        ({"targets": ["127.0.0.1"], "colour": "blue"}, "/body/colour"),
        ({"targets": []}, "/body/targets"),
    ],
)
async def test_bad_input_is_a_problem_that_points_at_it_and_says_what_to_do(
    client: httpx.AsyncClient, body: dict[str, object], pointer: str
) -> None:
    answer = await client.post("/v1/scans", json=body)
    assert answer.status_code == 422
    problem = answer.json()
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert problem["next_step"]


async def test_a_body_that_is_not_json_is_said_to_be_none(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/scans", content=b"{", headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["type"].endswith("/not-json")


async def test_an_unknown_scan_is_not_found(client: httpx.AsyncClient) -> None:
    for path in ("/v1/scans/none", "/v1/scans/none/results"):
        assert (await client.get(path)).status_code == 404
