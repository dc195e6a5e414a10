import httpx
import pytest
from pydantic import Field, ValidationError

from shared.http import (
    Body,
)
from tests.builders import bearer
from tests.shared.http.garden import problem


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
