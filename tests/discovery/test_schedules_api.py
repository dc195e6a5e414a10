"""Scans that repeat, over HTTP."""

from typing import Any

import httpx

from shared.clock import utc_now
from tests.builders import bearer

BODY: dict[str, Any] = {
    "name": "nightly",
    "scan": {"targets": ["192.0.2.0/28"], "ports": "443", "starttls": "none", "rate": 50},
    "cron": "30 2 * * mon-fri",
    "timezone": "Europe/Berlin",
    "jitter": 600,
    "quiet_hours": [{"start": "08:00", "end": "18:00", "days": ["mon", "fri"]}],
}


async def test_a_schedule_is_made_shown_run_changed_and_deleted(client: httpx.AsyncClient) -> None:
    made = await client.post("/v1/schedules", json=BODY)
    assert made.status_code == 201, made.text
    schedule = made.json()
    assert schedule["next_run_at"] > utc_now().isoformat()
    url = f"/v1/schedules/{schedule['id']}"
    shown = await client.get(url)
    assert (shown.headers["etag"], shown.json()) == ('"1"', schedule)
    assert {name: schedule[name] for name in ("cron", "every", "timezone", "jitter")} == {
        "cron": "30 2 * * mon-fri",
        "every": None,
        "timezone": "Europe/Berlin",
        "jitter": 600,
    }
    assert (schedule["scan"]["targets"], schedule["scan"]["starttls"]) == (["192.0.2.0/28"], "none")
    assert schedule["quiet_hours"][0]["days"] == ["mon", "fri"]

    run = await client.post(f"{url}/run")
    assert (run.status_code, run.json()["schedule_id"]) == (202, schedule["id"])
    assert run.headers["location"] == f"/discovery/v1/scans/{run.json()['id']}"
    assert (await client.post(f"{url}/run")).status_code == 409

    changed = await client.put(
        url, json={**BODY, "is_enabled": False}, headers={"If-Match": shown.headers["etag"]}
    )
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert changed.json()["next_run_at"] is None
    stale = await client.put(url, json=BODY, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    listed = (await client.get("/v1/schedules")).json()["items"]
    assert [one["last_scan_id"] for one in listed] == [run.json()["id"]]
    assert (await client.delete(url)).status_code == 204
    assert (await client.get(url)).status_code == 404


async def test_what_is_wrong_with_a_schedule_is_pointed_at(client: httpx.AsyncClient) -> None:
    wrong: dict[str, dict[str, Any]] = {
        "/body/cron": {"cron": "61 2 * * *"},
        "/body/timezone": {"timezone": "Nowhere"},
        "/body/quiet_hours": {"quiet_hours": [{"start": "08:00", "end": "08:00"}]},
        "/body/every": {"cron": None, "every": 5},
    }
    for pointer, change in wrong.items():
        answer = await client.post("/v1/schedules", json={**BODY, **change})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), answer.text


async def test_a_viewer_may_look_and_not_touch(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/schedules", json=BODY, headers=bearer("viewer"))
    assert answer.status_code == 403
    assert (await client.get("/v1/schedules", headers=bearer("viewer"))).status_code == 200
