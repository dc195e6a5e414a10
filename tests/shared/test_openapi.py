"""What a contract says of an operation is read off its path, its method and what it takes."""

from collections.abc import AsyncIterable
from datetime import time
from typing import Annotated, Any

import pytest
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, TypeAdapter, ValidationError

from shared.access import Principal, requires
from shared.examples import Examples
from shared.http import Body, Routes, View
from shared.local_time import LocalTime
from shared.openapi import may_fail, needs, objects, operations
from tests.shared.http.garden import garden

Writer = Annotated[Principal, requires("trees:write")]


class Watering(Body):
    litres: int


class Tree(View):
    id: str
    planted_at: str | None


def described() -> dict[tuple[str, str], dict[str, Any]]:
    made = Routes(prefix="/v1/trees")

    @made.post("/{tree_id}/waterings", summary="Water a tree", responses=may_fail(502))
    async def water_tree(_caller: Writer, tree_id: str, body: Watering, if_match: str = "*") -> Tree:
        raise NotImplementedError

    @made.get("", summary="List trees")
    async def list_trees(_caller: Writer) -> list[Tree]:
        raise NotImplementedError

    document = garden(made).openapi()
    return {(method, path): operation for path, method, operation in operations(document)}


def test_the_failures_are_those_of_its_kind_and_those_that_it_names():
    told = described()
    watering = told["post", "/v1/trees/{tree_id}/waterings"]["responses"].keys()
    assert watering == {"200", "400", "401", "403", "404", "409", "412", "413", "422", "502", "503"}
    assert told["get", "/v1/trees"]["responses"].keys() == {"200", "401", "403", "422", "503"}


def test_it_says_what_a_caller_needs_and_which_objects_it_is_about():
    watering = described()["post", "/v1/trees/{tree_id}/waterings"]
    assert needs(watering) == "`trees:write`"
    assert objects("/v1/trees/{tree_id}/waterings", "post", watering) in watering["description"]
    assert "`trees:write`" in watering["description"]
    assert watering["parameters"][0]["description"] == "The id of one tree."


def test_a_stream_says_what_each_of_its_events_is():
    made = Routes(prefix="/v1/trees")

    @made.get("/growth", summary="Watch them grow", response_class=EventSourceResponse)
    async def watch_trees(_caller: Writer) -> AsyncIterable[ServerSentEvent]:
        yield ServerSentEvent(event="grown", data={})

    [(_, _, operation)] = operations(garden(made).openapi())
    told = operation["responses"]["200"]["content"]["text/event-stream"]
    assert "itemSchema" not in told  # of OpenAPI 3.2
    assert told["schema"]["properties"].keys() >= {"data", "event", "id"}


def test_it_shows_what_is_sent_and_what_comes_back():
    watering = described()["post", "/v1/trees/{tree_id}/waterings"]
    assert watering["requestBody"]["content"]["application/json"]["example"] == {"litres": 1}
    shown = watering["responses"]["200"]["content"]["application/json"]["example"]
    assert shown.keys() == {"id", "planted_at"}


def test_a_schema_that_holds_itself_has_an_example_with_an_end():
    class Branch(BaseModel):
        name: str
        branches: list["Branch"]
        best: "Branch | None"

    schema = TypeAdapter(Branch).json_schema(ref_template="#/components/schemas/{model}")
    document = {"components": {"schemas": schema.pop("$defs")}}
    shown = Examples(document).answered(schema)
    assert TypeAdapter(Branch).validate_python(shown).name


@pytest.mark.parametrize("written", ["22:00:00Z", "22:00+02:00", "24:00", 79200, "noon"])
def test_a_time_of_day_is_as_a_clock_on_the_wall_shows_it(written: object):
    with pytest.raises(ValidationError, match="without an offset"):
        TypeAdapter(LocalTime).validate_python(written)


def test_a_time_of_day_is_written_with_or_without_seconds():
    read = TypeAdapter(LocalTime).validate_python
    assert (read("22:00"), read("22:00:30"), read(time(8))) == (time(22), time(22, 0, 30), time(8))
