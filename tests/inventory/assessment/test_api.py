"""Assessment over HTTP: a policy of one's own is tried, switched on, kept from some by an exception, and changed."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from services.inventory.store.places import place_id
from shared.bus.sqlite import SqliteBus
from shared.clock import utc_now
from shared.store import Database
from tests.inventory.assessment.court import OLD, looked
from tests.inventory.conftest import Issue
from tests.inventory.ledger import DAY, Ledger, place
from tests.inventory.test_api import NOW, Running, around, started  # noqa: F401 - a fixture

OK, REFUSED = httpx.codes.OK, httpx.codes.UNPROCESSABLE_ENTITY
RULE: dict[str, Any] = {
    "id": "no-tls-1.0",
    "title": "No TLS 1.0",
    "severity": "high",
    "demand": {"kind": "versions_within", "values": ["TLSv1.3", "TLSv1.2"]},
    "remedy": "Switch it off.",
}
HOUSE = {"id": "house", "title": "House rules", "rules": [RULE]}
PLACE = place_id(place().key)


@pytest.fixture
async def running(around: Any) -> AsyncIterator[Running]:  # noqa: F811 - the fixture
    async with started(around) as opened:
        yield opened


async def test_a_policy_of_ones_own_from_its_first_draft_to_an_exception(
    running: Running, database: Database, bus: SqliteBus, issue: Issue
) -> None:
    ledger = Ledger(database, bus, now=NOW)
    await ledger.hear(looked(issue("shop.test", at=NOW), place(), NOW, OLD))
    await _work(ledger)

    listed = (await running.get("/v1/policies")).json()["items"]
    assert [each["id"] for each in listed if each["is_builtin"] and not each["is_enabled"]] == [
        "bsi-tr-02102-2",
        "cabf-tls-br",
        "cnsa-2.0",
        "mozilla-6.0-intermediate",
        "mozilla-6.0-modern",
        "nist-sp-800-52r2",
    ]
    wrong = {**HOUSE, "rules": [{**RULE, "demand": {"kind": "versions_within", "values": ["TLS 1.3"]}}]}
    refused = await running.post("/v1/policies", wrong)
    assert refused.status_code == REFUSED
    [fault] = refused.json()["errors"]
    assert fault["pointer"] == "/body/rules/0/demand/versions_within/values/0"
    assert "TLSv1.3" in fault["message"]

    made = await running.post("/v1/policies", HOUSE)
    assert (made.status_code, made.json()["is_enabled"]) == (httpx.codes.CREATED, False)
    assert (await running.post("/v1/policies", HOUSE)).status_code == httpx.codes.CONFLICT
    tried = (await running.post("/v1/policies/house/preview", None)).json()
    assert (tried["judged"], tried["failing"], tried["newly_failing"], tried["by_rule"]) == (
        1,
        1,
        1,
        {"no-tls-1.0": 1},
    )
    assert tried["examples"][0]["evidence"] == ["offers TLSv1"]

    assert (await running.post("/v1/policies/house/enable", None)).json()["is_enabled"]
    await _work(ledger)
    shown = (await running.get(f"/v1/places/{PLACE}/assessment")).json()
    assert (shown["grade"], shown["readiness"]["key_exchange"]) == ("B", "none")
    assert shown["readiness"]["signature"] == "classical"
    for asked, count in (("pq = none and pq.signature = classical", 1), ("pq.signature = post-quantum", 0)):
        assert len((await running.get("/v1/certificates", query=asked)).json()["items"]) == count, asked
    report = (await running.get(f"/v1/certificates/{shown['fingerprint']}")).json()
    assert report["pq_signature"] == "classical"
    [verdict] = shown["verdicts"]
    [broken] = verdict["rules"]
    assert (verdict["policy"], verdict["verdict"], broken["remedy"]) == ("house", "fail", "Switch it off.")
    for query in ({"grade": "B"}, {"policy": "house", "verdict": "fail"}, {"key_exchange": "none"}):
        found = (await running.get("/v1/assessments", **query)).json()["items"]
        assert [each["place"]["id"] for each in found] == [PLACE], query
    assert (await running.get("/v1/assessments", grade="A+")).json()["items"] == []
    assert (await running.get("/v1/assessments/summary")).json() == {
        "by_grade": {"B": 1},
        "by_pq_key_exchange": {"none": 1},
        "by_policy": {"house": {"fail": 1}},
    }

    await _let_pass(running, ledger)
    await _change(running)


async def _work(ledger: Ledger) -> None:
    ledger.now = utc_now()  # the service goes by the real time
    await ledger.work()


async def _let_pass(running: Running, ledger: Ledger) -> None:
    body = {
        "policy_id": "house",
        "rule_id": "no-tls-1.0",
        "scope": {"kind": "place", "value": PLACE},
        "reason": "The tills of 2014 speak nothing newer.",
        "ends_at": (NOW + 30 * DAY).isoformat(),
    }
    for wrong in (
        {"ends_at": (NOW + 400 * DAY).isoformat()},
        {"rule_id": "other"},
        {"policy_id": "other"},
        {"scope": {"kind": "place", "value": "0" * 32}},
        {"scope": {"kind": "query", "value": "colour = blue"}},
        {"reason": "because"},
    ):
        refused = await running.post("/v1/exceptions", {**body, **wrong})
        assert (refused.status_code, bool(refused.json()["next_step"])) == (REFUSED, True), wrong
    asked = (await running.post("/v1/exceptions", body)).json()
    path = f"/v1/exceptions/{asked['id']}"
    own = await running.post(f"{path}/approve", None)
    assert (own.status_code, own.json()["detail"]) == (
        httpx.codes.FORBIDDEN,
        "Who asks for an exception does not decide about it.",
    )
    ben = await _somebody(running, roles=["approver"])
    stale = await running.post(f"{path}/approve", None, {**ben, "If-Match": '"7"'})
    assert stale.status_code == httpx.codes.PRECONDITION_FAILED
    approved = await running.post(f"{path}/approve", None, {**ben, "If-Match": '"1"'})
    assert (approved.json()["state"], approved.json()["decided_by_name"]) == ("approved", "ben")
    await _work(ledger)
    [verdict] = (await running.get(f"/v1/places/{PLACE}/assessment")).json()["verdicts"]
    assert (verdict["verdict"], verdict["is_by_exception"]) == ("pass", True)
    assert (await running.post(f"{path}/withdraw", None)).json()["state"] == "withdrawn"
    await _work(ledger)
    [verdict] = (await running.get(f"/v1/places/{PLACE}/assessment")).json()["verdicts"]
    assert (verdict["verdict"], verdict["is_by_exception"]) == ("fail", False)
    found = await running.get("/v1/exceptions", policy="house", state="withdrawn")
    assert [each["id"] for each in found.json()["items"]] == [asked["id"]]


async def _somebody(running: Running, *, roles: list[str]) -> dict[str, str]:
    made = (await running.post("/v1/principals", {"name": "ben", "kind": "machine", "roles": roles})).json()
    key = (await running.post(f"/v1/principals/{made['id']}/api-keys", {"days": 1})).json()["key"]
    token = (await running.exchange(key)).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


async def _change(running: Running) -> None:
    document = {"title": "House rules", "rules": [{**RULE, "level": "should"}]}
    headers = {**running.admin, "If-Match": '"1"'}
    changed = await running.client.put("/v1/policies/house", json=document, headers=headers)
    assert (changed.status_code, changed.headers["ETag"], changed.json()["version"]) == (OK, '"2"', 2)
    again = await running.client.put("/v1/policies/house", json=document, headers=headers)
    assert again.status_code == httpx.codes.PRECONDITION_FAILED
    builtin = await running.client.put("/v1/policies/cnsa-2.0", json=document, headers=running.admin)
    assert (builtin.status_code, "of your own" in builtin.json()["next_step"]) == (REFUSED, True)
    assert not (await running.post("/v1/policies/house/disable", None)).json()["is_enabled"]
