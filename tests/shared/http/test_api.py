import json
import logging
from typing import Any

import httpx
import pytest

from shared.http import (
    View,
    public,
)
from shared.openapi import PROBLEM, resolved
from tests.shared.http.garden import garden, routes


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
