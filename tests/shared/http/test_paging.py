import base64
import contextlib
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import errors
from shared.http import (
    Paging,
    instant_in,
    number_in,
)
from tests.builders import bearer
from tests.shared.http.garden import problem


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
