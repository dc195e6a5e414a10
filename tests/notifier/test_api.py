"""The notifier's HTTP face, on the assembled service."""

import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from services.notifier.service import SCHEMA, build
from shared.bus import Message
from shared.bus.sqlite import SqliteBus
from shared.events import Event, Payload
from shared.events.inventory import Urgency
from shared.service import Service
from tests.builders import bearer, surroundings
from tests.notifier.workshop import NOON, SIGNING_SECRET, email_options, expiring, replaced
from tests.servers.smtp import Smtp
from tests.servers.webhook import Answer, Webhook

ADMIN = bearer("admin")
UNKNOWN = "0191d7a2-8f4e-7c3b-9d5e-1f2a3b4c5d6e"


class House:
    """The notifier with its doors, and a bus to speak on."""

    def __init__(self, service: Service, bus: SqliteBus) -> None:
        self.service = service
        self.bus = bus
        transport = httpx.ASGITransport(service.api, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://notifier", headers=ADMIN)

    async def say(self, *payloads: Payload) -> None:
        """Publish events."""
        events = [Event.of(payload, source="test", now=NOON) for payload in payloads]
        await self.bus.publish([Message(id=e.id, type=e.type, body=e.to_bytes()) for e in events])

    async def make_hook(self, webhook: Webhook, **other: Any) -> dict[str, Any]:
        """Make a channel to a receiver."""
        answer = await self.client.post("/v1/channels", json=hook(webhook, **other))
        assert answer.status_code == 201, answer.text
        return dict(answer.json())


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """An assembled notifier on the embedded bus, its workers not yet at work."""
    bus = SqliteBus(tmp_path / "bus.db")
    environ = {"EVERLEAF_NOTIFIER_RETRY_AFTER": "0.05,0.1,0.2", "EVERLEAF_NOTIFIER_POLL": "0.02"}
    async with build(surroundings(tmp_path, environ=environ, bus=bus)) as service:
        await SCHEMA.upgrade(service.database)
        await bus.declare(service.queues)
        opened = House(service, bus)
        async with opened.client:
            yield opened
    await bus.close()


@pytest.fixture
async def working(house: House) -> AsyncIterator[House]:
    """The same, with its workers at work."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(house.service.work)
        yield house
        tasks.cancel_scope.cancel()


def hook(webhook: Webhook, **other: Any) -> dict[str, Any]:
    """Return the body that makes a channel to a receiver."""
    body = {
        "name": "hook",
        "kind": "webhook",
        "options": {"url": webhook.url},
        "secrets": {"signing_secret": SIGNING_SECRET},
    }
    return {**body, **other}


ROUTES = [
    ("GET", "/v1/alerts", "alerts:read"),
    ("GET", "/v1/changes?wait=0", "changes:read"),
    ("GET", f"/v1/alerts/{UNKNOWN}", "alerts:read"),
    ("POST", f"/v1/alerts/{UNKNOWN}/acknowledge", "alerts:write"),
    ("POST", "/v1/channels", "channels:write"),
    ("GET", "/v1/channels", "channels:read"),
    ("GET", "/v1/channel-kinds", "channels:read"),
    ("GET", f"/v1/channels/{UNKNOWN}", "channels:read"),
    ("PATCH", f"/v1/channels/{UNKNOWN}", "channels:write"),
    ("DELETE", f"/v1/channels/{UNKNOWN}", "channels:write"),
    ("POST", f"/v1/channels/{UNKNOWN}/test", "channels:write"),
    ("POST", "/v1/rules", "rules:write"),
    ("GET", "/v1/rules", "rules:read"),
    ("GET", f"/v1/rules/{UNKNOWN}", "rules:read"),
    ("PATCH", f"/v1/rules/{UNKNOWN}", "rules:write"),
    ("DELETE", f"/v1/rules/{UNKNOWN}", "rules:write"),
    ("POST", f"/v1/alerts/{UNKNOWN}/snooze", "alerts:write"),
    ("POST", f"/v1/alerts/{UNKNOWN}/mute", "alerts:write"),
    ("POST", f"/v1/alerts/{UNKNOWN}/wake", "alerts:write"),
    ("GET", "/v1/reports", "reports:read"),
    ("POST", "/v1/report-schedules", "reports:write"),
    ("GET", "/v1/report-schedules", "reports:read"),
    ("GET", f"/v1/report-schedules/{UNKNOWN}", "reports:read"),
    ("PATCH", f"/v1/report-schedules/{UNKNOWN}", "reports:write"),
    ("POST", f"/v1/report-schedules/{UNKNOWN}/send", "reports:write"),
    ("DELETE", f"/v1/report-schedules/{UNKNOWN}", "reports:write"),
    ("POST", "/v1/approval-hooks", "approval-hooks:admin"),
    ("GET", "/v1/approval-hooks", "approval-hooks:admin"),
    ("GET", f"/v1/approval-hooks/{UNKNOWN}", "approval-hooks:admin"),
    ("DELETE", f"/v1/approval-hooks/{UNKNOWN}", "approval-hooks:admin"),
    ("GET", "/v1/deliveries", "deliveries:read"),
    ("POST", f"/v1/deliveries/{UNKNOWN}/retry", "deliveries:write"),
    ("POST", f"/v1/channels/{UNKNOWN}/replay", "deliveries:write"),
    ("POST", f"/v1/channels/{UNKNOWN}/catch-up", "deliveries:write"),
    ("GET", "/v1/tickets", "tickets:read"),
    ("GET", "/v1/snmp-mib", "channels:read"),
    ("GET", "/v1/audit", "audit-trail:audit"),
    ("GET", "/v1/audit/checkpoints", "audit-trail:audit"),
    ("GET", "/v1/audit/sources", "audit-trail:audit"),
    ("GET", "/v1/audit/export", "audit-trail:audit"),
    ("POST", "/v1/audit-keys", "audit-trail:admin"),
    ("POST", "/v1/audit-streams", "audit-trail:admin"),
    ("GET", "/v1/audit-streams", "audit-trail:audit"),
    ("DELETE", f"/v1/audit-streams/{UNKNOWN}", "audit-trail:admin"),
    ("POST", "/v1/subscriptions", "subscriptions:write"),
    ("GET", "/v1/subscriptions", "subscriptions:read"),
    ("GET", f"/v1/subscriptions/{UNKNOWN}", "subscriptions:read"),
    ("DELETE", f"/v1/subscriptions/{UNKNOWN}", "subscriptions:write"),
    ("POST", f"/v1/subscriptions/{UNKNOWN}/replay", "subscriptions:write"),
    ("GET", f"/v1/subscriptions/{UNKNOWN}/events", "subscriptions:read"),
]

BODIES = {
    "replay": {"since": "2026-01-01T00:00:00Z"},
    "snooze": {"until": "2100-01-01T00:00:00Z"},
    "mute": {"reason": "x"},
}
"""What must be said there before it is looked whether the object is there."""


@pytest.mark.parametrize(("method", "path", "permission"), ROUTES)
async def test_a_route_is_closed_to_who_has_no_token_or_not_the_permission(
    house: House, method: str, path: str, permission: str
) -> None:
    nobody = await house.client.request(method, path, headers={"Authorization": ""}, json={})
    assert nobody.status_code == 401
    other = bearer(permissions=frozenset({"places:read"}))
    answer = await house.client.request(method, path, headers=other, json={})
    assert answer.status_code == 403
    assert permission in answer.json()["detail"]


async def test_every_route_is_in_the_table_above(house: House) -> None:
    own = {
        (method.upper(), re.sub(r"{\w+}", UNKNOWN, path))
        for path, operations in house.service.api.openapi()["paths"].items()
        for method, operation in operations.items()
        if "dead-letters" not in path and "x-public" not in operation
    }
    assert own == {(method, path.partition("?")[0]) for method, path, _ in ROUTES}


@pytest.mark.parametrize(("method", "path", "_permission"), [r for r in ROUTES if UNKNOWN in r[1]])
async def test_what_is_not_there_is_404_with_a_next_step(
    house: House, method: str, path: str, _permission: str
) -> None:
    body = {"name": "x"} if method == "PATCH" else BODIES.get(path.rpartition("/")[2], {})
    answer = await house.client.request(method, path, json=body)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["next_step"]


async def test_secrets_go_in_and_never_come_out(house: House, webhook: Webhook) -> None:
    made = await house.make_hook(webhook)
    answers = [
        await house.client.get("/v1/channels"),
        await house.client.get(f"/v1/channels/{made['id']}"),
        await house.client.patch(f"/v1/channels/{made['id']}", json={"name": "other"}),
        await house.client.post(f"/v1/channels/{made['id']}/test"),
    ]
    assert all(answer.is_success for answer in answers)
    assert not any(SIGNING_SECRET in answer.text for answer in answers)
    assert "secret" not in str(made)


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"kind": "pigeon"}, "/body/kind"),
        ({"options": {"url": "https://a.test", "verify": False}}, "/body/options/verify"),
        ({"options": {"url": "http://a.test"}}, "/body/options/url"),
        ({"options": {}}, "/body/options/url"),
        ({"secrets": {}}, "/body/secrets/signing_secret"),
        ({"secrets": {"signing_secret": "whsec_hunter2"}}, "/body/secrets/signing_secret"),
        ({"secrets": {"signing_secret": SIGNING_SECRET, "other": "hunter2"}}, "/body/secrets/other"),
        ({"name": ""}, "/body/name"),
        ({"colour": "red"}, "/body/colour"),
    ],
)
async def test_a_channel_that_cannot_work_is_refused_with_the_place_and_without_the_secret(
    house: House, webhook: Webhook, wrong: dict[str, Any], pointer: str
) -> None:
    answer = await house.client.post("/v1/channels", json=hook(webhook, **wrong))
    assert answer.status_code == 422
    problem = answer.json()
    assert pointer in [fault["pointer"] for fault in problem["errors"]]
    assert problem["next_step"]
    assert "hunter2" not in answer.text


async def test_a_body_that_is_not_json_is_400(house: House) -> None:
    answer = await house.client.post(
        "/v1/channels", content=b"{", headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.json()["title"] == "The body is not JSON"


async def test_the_same_request_twice_makes_one_channel(house: House, webhook: Webhook) -> None:
    headers = {"Idempotency-Key": "once"}
    first, second = [
        await house.client.post("/v1/channels", json=hook(webhook), headers=headers) for _ in range(2)
    ]
    assert first.json() == second.json()
    assert (await house.client.post("/v1/channels", json=hook(webhook))).status_code == 409


async def test_a_change_names_the_version_it_was_made_on(house: House, webhook: Webhook) -> None:
    made = await house.make_hook(webhook)
    path = f"/v1/channels/{made['id']}"
    tag = (await house.client.get(path)).headers["etag"]
    changed = await house.client.patch(path, json={"enabled": False}, headers={"If-Match": tag})
    assert changed.json()["enabled"] is False
    assert (
        await house.client.patch(path, json={"enabled": True}, headers={"If-Match": tag})
    ).status_code == 412
    assert (await house.client.patch(path, json={})).status_code == 422
    assert (await house.client.delete(path)).status_code == 204
    assert (await house.client.get(path)).status_code == 404


async def test_a_test_reports_what_the_mail_server_answered(house: House, smtp: Smtp) -> None:
    body = {
        "name": "mail",
        "kind": "email",
        "options": email_options(smtp),
        "secrets": {"password": "wrong"},
    }
    made = (await house.client.post("/v1/channels", json=body)).json()
    answer = await house.client.post(f"/v1/channels/{made['id']}/test")
    assert answer.json()["outcome"] == "later"
    assert "535" in answer.json()["answer"]
    right = {"secrets": {"password": smtp.password}}
    await house.client.patch(f"/v1/channels/{made['id']}", json=right)
    answer = await house.client.post(f"/v1/channels/{made['id']}/test")
    assert answer.json()["outcome"] == "delivered"
    assert len(smtp.inbox) == 1


async def test_rules_are_made_changed_and_removed(house: House, webhook: Webhook) -> None:
    made = await house.make_hook(webhook)
    body = {"name": "outages", "min_severity": "error", "problems": ["stale"], "channels": [made["id"]]}
    rule = (await house.client.post("/v1/rules", json=body)).json()
    path = f"/v1/rules/{rule['id']}"
    changed = (await house.client.patch(path, json={"min_severity": "critical"})).json()
    assert (changed["name"], changed["min_severity"], changed["problems"]) == (
        "outages",
        "critical",
        ["stale"],
    )
    stale_tag = await house.client.patch(path, json={"channels": None}, headers={"If-Match": '"1"'})
    assert stale_tag.status_code == 412
    everybody = (await house.client.patch(path, json={"channels": None})).json()
    assert everybody["channels"] is None
    names = [item["name"] for item in (await house.client.get("/v1/rules")).json()["items"]]
    assert set(names) == {"default", "outages"}
    assert (await house.client.delete(path)).status_code == 204


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": [UNKNOWN]},
        {"min_severity": "terrible"},
        {"problems": ["bad weather"]},
        {"name": None},
        {"extra": 1},
    ],
)
async def test_a_rule_that_cannot_work_is_refused(house: House, wrong: dict[str, Any]) -> None:
    answer = await house.client.post("/v1/rules", json={"name": "x", **wrong})
    assert answer.status_code == 422
    (default,) = (await house.client.get("/v1/rules")).json()["items"]
    answer = await house.client.patch(f"/v1/rules/{default['id']}", json=wrong)
    assert answer.status_code == 422


async def test_from_the_event_to_the_mail_and_the_hook_to_the_resolution(
    working: House, webhook: Webhook, smtp: Smtp
) -> None:
    webhook.answer(Answer(status=500))
    hooked = await working.make_hook(webhook)
    mail = {
        "name": "mail",
        "kind": "email",
        "options": email_options(smtp),
        "secrets": {"password": smtp.password},
    }
    assert (await working.client.post("/v1/channels", json=mail)).status_code == 201
    await working.say(expiring(Urgency.CRITICAL))
    await until(lambda: len(smtp.inbox) == 1 and len(webhook.requests) == 2)
    (alert,) = (await working.client.get("/v1/alerts", params={"state": "open"})).json()["items"]
    assert (alert["problem"], alert["severity"]) == ("expiring", "critical")
    path = f"/v1/alerts/{alert['id']}"
    taken = await working.client.post(f"{path}/acknowledge", json={"note": "on it"})
    assert taken.json()["acknowledged_by"] == "tester"
    await working.say(replaced())
    await until(lambda: len(smtp.inbox) == 2 and len(webhook.requests) == 3)
    story = (await working.client.get(path)).json()
    assert story["state"] == "resolved"
    assert [entry["turn"] for entry in story["history"]] == ["opened", "acknowledged", "resolved"]
    assert story["history"][1]["by"] == "tester"
    assert len(story["deliveries"]) == 4
    listed = await working.client.get("/v1/deliveries", params={"channel_id": hooked["id"]})
    assert [item["number"] for item in listed.json()["items"]] == [3, 1]
    assert (await working.client.post(f"{path}/acknowledge", json={})).status_code == 409


async def test_alerts_are_listed_by_state_severity_problem_and_lineage(working: House) -> None:
    await working.say(
        expiring(Urgency.CRITICAL), expiring(lineage_id="lineage-2"), expiring(lineage_id="lineage-3")
    )
    await working.say(replaced(lineage_id="lineage-3"))

    async def count(**params: str) -> int:
        return len((await working.client.get("/v1/alerts", params=params)).json()["items"])

    while await count(state="resolved") != 1 or await count() != 3:
        await anyio.sleep(0.01)
    assert await count(state="open") == 2
    assert await count(severity="critical") == 1
    assert await count(lineage_id="lineage-2", problem="expiring") == 1
    assert await count(problem="stale") == 0
    page = (await working.client.get("/v1/alerts", params={"limit": "2"})).json()
    rest = (await working.client.get("/v1/alerts", params={"cursor": page["next_cursor"]})).json()
    assert len({item["id"] for item in page["items"] + rest["items"]}) == 3
    assert rest["next_cursor"] is None
    assert (await working.client.get("/v1/alerts", params={"state": "odd"})).status_code == 422


async def test_the_mib_module_is_given_under_ones_own_number(house: House) -> None:
    answer = await house.client.get("/v1/snmp-mib", params={"enterprise": "4711"})
    assert answer.headers["content-type"].startswith("text/plain")
    assert "{ enterprises 4711 }" in answer.text
    assert "32473 }" in (await house.client.get("/v1/snmp-mib")).text


async def test_a_channel_is_sent_again_what_it_has_missed(working: House, webhook: Webhook) -> None:
    webhook.default = Answer(status=410)
    channel = await working.make_hook(webhook)
    await working.say(expiring())
    await until(lambda: bool(webhook.requests))
    path = f"/v1/channels/{channel['id']}"
    with anyio.fail_after(60):
        while (await working.client.get(path)).json()["enabled"]:
            await anyio.sleep(0.01)
    webhook.default = Answer()
    await working.client.patch(path, json={"enabled": True})
    answer = await working.client.post(f"{path}/replay", json={"since": "2026-01-01T00:00:00Z"})
    assert (answer.status_code, answer.json()["count"]) == (202, 1)
    first, second = await webhook.received(2)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert (await working.client.post(f"{path}/replay", json={"since": "2026-01-01"})).status_code == 422


async def until(holds: Callable[[], bool]) -> None:
    """Return when it holds."""
    with anyio.fail_after(60):
        while not holds():
            await anyio.sleep(0.01)
