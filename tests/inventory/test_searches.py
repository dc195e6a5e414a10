import csv
import io
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from services.inventory.actions import searching
from services.inventory.domain.exports import COLUMNS
from services.inventory.domain.query import CATALOGUE
from services.inventory.domain.query.orders import MOST_COUNTED
from services.inventory.service import build
from services.inventory.store.certificates import LISTED
from services.inventory.store.facets import CERTIFICATE_FACETS, PLACE_FACETS
from services.inventory.store.organised import GroupMember
from services.inventory.store.queries.sorts import SORTS
from services.inventory.store.tables import Certificate
from shared.store import Database
from tests.builders import bearer, surroundings
from tests.inventory.estate import fill
from tests.inventory.ledger import NOON

VIEWER = bearer("viewer", name="vera")
OPERATOR = bearer("operator", name="otto")
OTHER = bearer("operator", name="olga")


class Door:
    """The inventory's API over the estate, at noon."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def get(self, path: str, headers: Mapping[str, str] = VIEWER, **query: Any) -> Any:
        answer = await self.client.get(path, params=query, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def letters(self, **query: Any) -> str:
        """Return the first letters of the fingerprints of all pages."""
        found, cursor = "", dict[str, Any]()
        while True:
            page = await self.get("/v1/certificates", **query, **cursor)
            found += "".join(item["fingerprint"][0] for item in page["items"])
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}

    async def problem(self, path: str, status: int = 422, **query: Any) -> dict[str, Any]:
        answer = await self.client.get(path, params=query, headers=VIEWER)
        assert answer.status_code == status, answer.text
        document: dict[str, Any] = answer.json()
        assert document["next_step"]
        return document


@pytest.fixture
async def door(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[Door]:
    await fill(database)
    environ = {"EVERLEAF_INVENTORY_DATABASE_URL": database_url}
    async with build(surroundings(tmp_path, environ=environ, clock=lambda: NOON)) as service:
        transport = httpx.ASGITransport(service.api)
        async with httpx.AsyncClient(transport=transport, base_url="http://inventory") as client:
            yield Door(client)


only_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what no database can make a difference to."""


async def test_a_list_comes_in_any_order_and_every_page_begins_after_the_one_before(door: Door):
    orders = {
        "seen": "abcde",
        "-seen": "edcba",
        "expires": "cbade",
        "-expires": "dabce",
        "issued": "dabce",
        "-issued": "cbade",
        "key.size": "bcade",
        "-key.size": "dacbe",
        "key.type": "bacde",
        "-key.type": "dcabe",
        "subject": "dabce",
        "-subject": "cbade",
        "issuer": "abdce",
        "-issuer": "cdbae",
    }
    assert {name.removeprefix("-") for name in orders} == SORTS.keys()
    for order, expected in orders.items():
        assert await door.letters(sort=order, limit=1) == expected, order
        assert await door.letters(sort=order, limit=3) == expected, order
    assert await door.letters(query="expires < 30d or not readable", sort="-expires", limit=1) == "bce"
    assert await door.letters(query="place.port = 8443", key_type="rsa") == "a"
    not_text = await door.client.get("/v1/certificates", params={"name": "a\x00"}, headers=VIEWER)
    assert (not_text.status_code, not_text.json().get("items", [])) in [(200, []), (422, [])]
    assert (await door.get("/v1/places", query="place.flaw = unused"))["items"][0]["flaws"] == [
        "not-served",
        "unused",
    ]


async def test_facets_count_what_a_query_finds_and_say_how_to_find_it(door: Door):
    countable = [each.name for each in CATALOGUE.fields if each.is_countable]
    found: dict[str, Any] = {}
    for names in (countable[:MOST_COUNTED], countable[MOST_COUNTED:]):
        facets = (await door.get("/v1/certificates/facets", by=",".join(names)))["facets"]
        found |= {each["field"]: each for each in facets}
    assert list(found) == countable
    for facet in found.values():
        for bucket in facet["buckets"]:
            counted = await door.get("/v1/certificates/count", query=bucket["query"])
            if facet["counts"] == "certificate":
                assert counted["count"] == bucket["count"], bucket
    assert found["key.type"] == {
        "field": "key.type",
        "counts": "certificate",
        "buckets": [
            {"value": "rsa", "count": 3, "query": "key.type = rsa"},
            {"value": "ecdsa-p256", "count": 1, "query": "key.type = ecdsa-p256"},
        ],
        "missing": 1,
        "values": 2,
    }
    assert found["current"]["buckets"][1] == {"value": True, "count": 2, "query": "current = true"}
    few = (await door.get("/v1/certificates/facets", by="key.size,place.port", query="key.size", limit=1))[
        "facets"
    ]
    assert few[0] == {
        "field": "key.size",
        "counts": "certificate",
        "buckets": [{"value": 2048, "count": 2, "query": "key.size = 2048"}],
        "missing": 0,
        "values": 3,
    }
    assert few[1]["buckets"] == [{"value": 8443, "count": 2, "query": "place.port = 8443"}]
    assert few[1]["values"] == 3
    near = await door.get("/v1/certificates/facets", by="place.kind", query="place.port = 8443 and wildcard")
    assert [bucket["count"] for bucket in near["facets"][0]["buckets"]] == [1, 1]
    there = await door.get(
        "/v1/certificates/facets", by="place.port", address="192.0.2.1", name="*.example.com"
    )
    assert [bucket["value"] for bucket in there["facets"][0]["buckets"]] == [8443, 443]
    assert (await door.get("/v1/certificates/count"))["count"] == 5


async def test_nothing_is_seen_outside_of_a_scope(door: Door, database: Database):
    held = {"ours": "bd", "theirs": "ac", "none": ""}
    rows = [
        {"group_id": group, "fingerprint": letter * 64}
        for group, letters in held.items()
        for letter in letters
    ]
    async with database.transaction() as tx:
        await tx.session.execute(sa.insert(GroupMember), rows)
    for group, letters in held.items():
        headers = bearer("viewer", groups=[group])
        for query in ({}, {"query": "ca or not ca"}):
            asked: dict[str, Any] = {"headers": headers, **query}
            assert await door.letters(**asked, limit=1) == letters, group
            assert (await door.get("/v1/certificates/count", **asked))["count"] == len(letters), group
            [facet] = (await door.get("/v1/certificates/facets", by="key.type", **asked))["facets"]
            counted = sum(bucket["count"] for bucket in facet["buckets"]) + facet["missing"]
            assert counted == len(letters), group
            exported = await door.client.get(
                "/v1/certificates/export", params={**query, "columns": "fingerprint"}, headers=headers
            )
            assert exported.text.split()[1:] == [letter * 64 for letter in letters], group
        for letter in "abcde":
            shown = await door.client.get(f"/v1/certificates/{letter * 64}", headers=headers)
            assert shown.status_code == (200 if letter in letters else 404), (group, letter)
        seen = {row["fingerprint"] for row in (await door.get("/v1/places", headers=headers))["items"]}
        assert {each[0] for each in seen if each} <= set(letters), group


async def test_an_export_holds_every_row_once_in_each_format(door: Door, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(searching, "EXPORT_ROWS", 2)

    async def export(**query: Any) -> str:
        answer = await door.client.get("/v1/certificates/export", params=query, headers=VIEWER)
        assert answer.status_code == 200, answer.text
        form = query.get("format", "csv")
        assert answer.headers["content-disposition"] == f'attachment; filename="certificates.{form}"'
        return answer.text

    lines = list(csv.DictReader(io.StringIO(await export(), newline="")))
    assert [line["id"] for line in lines] == ["id-a", "id-b", "id-c", "id-d", "id-e"]
    assert tuple(lines[0]) == COLUMNS
    assert (lines[0]["names"], lines[0]["is_current"]) == ("example.com www.example.com", "true")
    assert (lines[0]["not_after"], lines[4]["not_after"]) == ("2026-05-02T12:00:00Z", "")
    whole = json.loads(await export(format="json", sort="-expires", columns="id,names"))
    assert [row["id"] for row in whole] == ["id-d", "id-a", "id-b", "id-c", "id-e"]
    assert whole[2] == {"id": "id-b", "names": ["*.example.com"]}
    each = (await export(format="ndjson", query="expires < 30d", columns="id,key_bits")).splitlines()
    assert [json.loads(line) for line in each] == [
        {"id": "id-b", "key_bits": 256},
        {"id": "id-c", "key_bits": 1024},
    ]
    assert json.loads(await export(format="json", query="key.size = 1")) == []
    assert await export(query="key.size = 1", columns="id") == "id\r\n"


@only_sqlite
async def test_a_bad_question_is_a_problem_that_says_where(door: Door):
    bad = await door.problem("/v1/certificates", query="key.size < abc")
    assert bad["errors"] == [
        {
            "pointer": "/query/query",
            "message": "column 12: found `abc`, expected a whole number up to 2147483647.",
            "column": "12",
        }
    ]
    for path in ("/v1/places", "/v1/certificates/count", "/v1/certificates/export"):
        assert (await door.problem(path, query="colour"))["errors"][0]["column"] == "1"
    assert "expires" in (await door.problem("/v1/certificates", sort="names"))["next_step"]
    assert "key.type" in (await door.problem("/v1/certificates/facets", by="expires"))["next_step"]
    assert "not_after" in (await door.problem("/v1/certificates/export", columns="id,nope"))["next_step"]
    cursor = (await door.get("/v1/certificates", sort="expires", limit=1))["next_cursor"]
    assert "sort" in (await door.problem("/v1/certificates", cursor=cursor))["next_step"]


@only_sqlite
async def test_the_fields_of_a_query_are_listed(door: Door):
    fields = {each["name"]: each for each in (await door.get("/v1/query-fields"))["items"]}
    assert fields.keys() == {each.name for each in CATALOGUE.fields}
    assert fields["urgency"]["choices"] == ["renew", "warning", "error", "critical", "expired"]
    assert fields["name"]["operators"] == ["has", "=", "!=", "in", "~", "under"]


@only_sqlite
async def test_a_saved_query_is_its_owners_and_others_use_it_where_it_is_shared(door: Door):
    path = "/v1/saved-queries"

    async def post(body: Any, headers: Mapping[str, str] = OPERATOR) -> httpx.Response:
        return await door.client.post(path, json=body, headers=headers)

    made = (await post({"name": "weak", "query": "KEY.size<2048", "columns": ["subject"]})).json()
    one = f"{path}/{made['id']}"
    assert (made["query"], made["sort"], made["owner_id"]) == ("key.size < 2048", "seen", "otto")
    assert (await post({"name": "weak", "query": ""})).status_code == 409
    assert (await post({"name": "weak", "query": ""}, OTHER)).status_code == 201
    assert (await post({"name": "new", "query": ""}, VIEWER)).status_code == 403
    wrong = (await post({"name": "wrong", "query": "ca and"})).json()
    assert wrong["errors"][0]["pointer"] == "/body/query"
    assert wrong["errors"][0]["column"] == "7"
    assert (await post({"name": "wrong", "query": "", "sort": "nope"})).status_code == 422

    assert (await door.client.get(one, headers=OTHER)).status_code == 404
    stale = {**OPERATOR, "If-Match": '"7"'}
    assert (await door.client.patch(one, json={"is_shared": True}, headers=stale)).status_code == 412
    shared = await door.client.patch(one, json={"is_shared": True}, headers={**OPERATOR, "If-Match": '"1"'})
    assert (shared.json()["is_shared"], shared.json()["query"]) == (True, "key.size < 2048")
    assert shared.headers["etag"] == '"2"'
    seen = await door.client.get(one, headers=VIEWER)
    assert (seen.json()["name"], seen.headers["etag"]) == ("weak", '"2"')
    assert [row["id"] for row in (await door.get(path, VIEWER))["items"]] == [made["id"]]
    for refused in (
        await door.client.patch(one, json={"name": "mine"}, headers=OTHER),
        await door.client.delete(one, headers=OTHER),
    ):
        assert refused.status_code == 403
        assert "Save it" in refused.json()["next_step"]
    assert (await door.client.delete(one, headers=OPERATOR)).status_code == 204
    assert (await door.client.get(one, headers=OPERATOR)).status_code == 404


def test_whatever_can_be_sorted_or_counted_by_has_its_column_and_the_reverse():
    assert {each.name for each in CATALOGUE.fields if each.is_sortable} == SORTS.keys()
    counted = CERTIFICATE_FACETS.keys() | PLACE_FACETS.keys()
    assert {each.name for each in CATALOGUE.fields if each.is_countable} == counted


def test_whatever_an_export_can_hold_is_read_for_it():
    assert (
        set(COLUMNS)
        <= {str(column.key) for column in sa.select(*LISTED).selected_columns}
        <= set(Certificate.model_fields)
    )


@only_sqlite
async def test_a_page_is_arranged_by_each_for_themselves_viewers_among_them(door: Door):
    path = "/v1/arrangements/overview"
    cards = [
        {"id": "alerts", "width": 12, "is_hidden": False},
        {"id": "grades", "width": 6, "is_hidden": True},
    ]
    assert (await door.get(path, VIEWER)) == {"cards": []}
    for kept in (cards, cards[::-1]):
        answer = await door.client.put(path, json={"cards": kept}, headers=VIEWER)
        assert answer.status_code == 200, answer.text
        assert (await door.get(path, VIEWER)) == {"cards": kept}
    assert (await door.get(path, OTHER)) == {"cards": []}
    wrong = await door.client.put(path, json={"cards": [{"id": "alerts", "width": 13}]}, headers=VIEWER)
    assert wrong.status_code == 422
