"""Discovery's HTTP door to Certificate Transparency logs and to known names."""

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import httpx
import pytest

from services.discovery import store
from shared.service import Service
from shared.store import Database
from tests.builders import bearer
from tests.servers.ct_log import CtLog

LOG = {"url": "https://log.example.org/2026h2/", "suffixes": ["example.com"]}


async def until(client: httpx.AsyncClient, location: str, **wanted: object) -> dict[str, Any]:
    """Return the log once it shows this."""
    with anyio.fail_after(30):
        while True:
            shown: dict[str, Any] = (await client.get(location)).json()
            if {name: shown[name] for name in wanted} == wanted:
                return shown
            await anyio.sleep(0.02)


async def test_a_log_that_is_configured_is_read_by_the_service_and_its_names_are_listed(
    client: httpx.AsyncClient, service: Service, ct_log: CtLog
) -> None:
    ct_log.append("www.example.com", "*.shop.example.com", "www.example.net")
    ct_log.append("pre.example.com", precertificate=True)
    ct_log.publish()
    body = {
        "url": ct_log.url,
        "public_key": ct_log.public_key,
        "suffixes": ["example.com"],
        "start": "beginning",
    }
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.work)
        answer = await client.post("/v1/ct-logs", json=body)
        assert answer.status_code == 201, answer.text
        location = answer.headers["location"].removeprefix("/discovery")
        shown = await until(client, location, state="current")
        tasks.cancel_scope.cancel()
    assert (shown["position"], shown["checkpoint_size"], shown["entries_read"]) == (2, 2, 2)
    listed = (await client.get("/v1/names?under=example.com")).json()["items"]
    assert [(each["name"], each["origins"]) for each in listed] == [
        (name, ["transparency"]) for name in ("pre.example.com", "shop.example.com", "www.example.com")
    ]


async def test_a_log_is_listed_shown_changed_and_deleted(client: httpx.AsyncClient) -> None:
    made = await client.post("/v1/ct-logs", json=LOG)
    log = made.json()
    assert log["url"] == "https://log.example.org/2026h2"
    assert (log["state"], log["position"], log["version"]) == ("new", None, 1)
    path = f"/v1/ct-logs/{log['id']}"
    shown = await client.get(path)
    assert shown.headers["etag"] == made.headers["etag"]
    assert shown.json() == log
    assert (await client.get("/v1/ct-logs")).json()["items"] == [log]

    changed = await client.patch(
        path, json={"suffixes": ["Example.NET", "*.example.org"]}, headers={"If-Match": shown.headers["etag"]}
    )
    assert changed.json()["suffixes"] == ["example.net", "example.org"]
    stale = await client.patch(path, json=LOG | {}, headers={"If-Match": shown.headers["etag"]})
    assert stale.status_code == 422, "only suffixes can be changed"
    stale = await client.patch(
        path, json={"suffixes": ["example.com"]}, headers={"If-Match": shown.headers["etag"]}
    )
    assert stale.status_code == 412

    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404
    assert (await client.delete(path)).status_code == 404
    assert (await client.patch(path, json={"suffixes": ["example.com"]})).status_code == 404


async def test_a_log_is_read_once_however_often_it_is_asked_for(client: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "one"}
    first = await client.post("/v1/ct-logs", json=LOG, headers=key)
    second = await client.post("/v1/ct-logs", json=LOG, headers=key)
    assert first.json()["id"] == second.json()["id"]
    again = await client.post("/v1/ct-logs", json=LOG | {"url": "https://log.example.org/2026h2"})
    assert again.status_code == 409


async def test_reading_a_log_takes_an_operator_and_looking_a_viewer(client: httpx.AsyncClient) -> None:
    viewer = bearer("viewer")
    assert (await client.post("/v1/ct-logs", json=LOG, headers=viewer)).status_code == 403
    assert (await client.get("/v1/ct-logs", headers=viewer)).status_code == 200
    assert (await client.get("/v1/names?under=example.com", headers=viewer)).status_code == 200
    assert (await client.get("/v1/names?under=example.com", headers={"Authorization": ""})).status_code == 401


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"url": "ftp://log.example.org"}, "/body/url"),
        ({"url": "http://log.example.org/"}, "/body/url"),
        ({"url": "https://user:secret@log.example.org/"}, "/body/url"),
        ({"url": "https://log.example.org/?x=1"}, "/body/url"),
        ({"url": "https://log example.org/"}, "/body/url"),
        ({"url": "https://[::1"}, "/body/url"),
        ({"url": "https://log.example.org:x/"}, "/body/url"),
        ({"url": "log.example.org"}, "/body/url"),
        ({"public_key": "AAAA"}, "/body/public_key"),
        ({"suffixes": []}, "/body/suffixes"),
        ({"suffixes": ["example.com", "com"]}, "/body/suffixes/1"),
        ({"suffixes": ["192.0.2.1"]}, "/body/suffixes/0"),
        ({"suffixes": ["-"]}, "/body/suffixes/0"),
        ({"start": 2**41}, "/body/start"),
    ],
)
async def test_bad_input_is_a_problem_that_points_at_it(
    client: httpx.AsyncClient, change: dict[str, object], pointer: str
) -> None:
    answer = await client.post("/v1/ct-logs", json=LOG | change)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert answer.json()["next_step"]
    assert "secret" not in answer.text


@pytest.mark.parametrize("start", [-1, "later", True, 1.5])
async def test_a_start_is_a_number_or_one_of_two_words(client: httpx.AsyncClient, start: object) -> None:
    answer = await client.post("/v1/ct-logs", json=LOG | {"start": start})
    assert answer.status_code == 422
    assert all(error["pointer"].startswith("/body/start") for error in answer.json()["errors"])


async def test_names_are_paged_and_say_where_they_come_from(
    client: httpx.AsyncClient, database: Database
) -> None:
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    async with database.transaction() as tx:
        for origin, now in (("certificate", late), ("transparency", early)):
            names = [(f"n{number}.example.com", "") for number in range(5)]
            await store.remember_names(tx, names, origin=origin, now=now)
        beside = [("n0.example.com", "192.0.2.1"), ("example.com", "192.0.2.1"), ("notexample.com", "")]
        await store.remember_names(tx, beside, origin="certificate", now=early - timedelta(days=1))
    first = (await client.get("/v1/names?under=Example.com&limit=2")).json()
    assert first["items"] == [
        {
            "name": "example.com",
            "origins": ["certificate"],
            "addresses": ["192.0.2.1"],
            "seen_at": "2025-12-31T00:00:00Z",
        },
        {
            "name": "n0.example.com",
            "origins": ["certificate", "transparency"],
            "addresses": ["192.0.2.1"],
            "seen_at": "2026-02-01T00:00:00Z",
        },
    ]
    listed, cursor = [each["name"] for each in first["items"]], first["next_cursor"]
    while cursor:
        page = (await client.get(f"/v1/names?under=example.com&limit=2&cursor={cursor}")).json()
        listed += [each["name"] for each in page["items"]]
        cursor = page["next_cursor"]
    assert listed == ["example.com", *(f"n{number}.example.com" for number in range(5))]
    assert (await client.get("/v1/names?under=192.0.2.1")).status_code == 422
