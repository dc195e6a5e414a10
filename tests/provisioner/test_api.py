from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from services.provisioner.service import NAME, SCHEMA, SETTINGS, build
from shared.clock import utc_now
from shared.events import Event
from shared.service import Service
from tests.builders import bearer, surroundings
from tests.provisioner.ssh_host import SshHost
from tests.provisioner.workshop import Vault, renewed, sending_of
from tests.servers.tls import Issued

OPERATOR, VIEWER = bearer("operator"), bearer("viewer")


def _known(request: httpx.Request) -> httpx.Response:
    """Play inventory, which knows every certificate."""
    assert request.url.path.startswith("/v1/certificates/")
    return httpx.Response(200, json={"lineage_id": "lineage"})


class VaultSiblings:
    """Renewal, played by a vault; inventory, that knows a lineage; the rest is not there."""

    def __init__(self) -> None:
        self.vault = Vault()

    def open(
        self, name: str, *, caller: str, api_key: str | None, sealing_key: bytes | None = None
    ) -> httpx.AsyncClient:
        assert caller == "provisioner"
        if name == "inventory":
            return httpx.AsyncClient(transport=httpx.MockTransport(_known), base_url="http://inventory")
        assert name == "renewal"
        assert sealing_key is not None
        self.vault.public_key = sealing_key
        return self.vault.client()


@pytest.fixture
def siblings() -> VaultSiblings:
    return VaultSiblings()


@pytest.fixture
async def service(tmp_path: Path, siblings: VaultSiblings) -> AsyncIterator[Service]:
    """The built service."""
    around = surroundings(tmp_path, siblings=siblings, environ={"EVERLEAF_PROVISIONER_VERIFY_TIMEOUT": "3"})
    database = around.open_database(NAME, around.settings.load(SETTINGS, section=NAME))
    await SCHEMA.upgrade(database)
    await database.close()
    async with build(around) as built:
        yield built
    await around.bus.close()


@pytest.fixture
async def api(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Its API, asked by an operator."""
    transport = httpx.ASGITransport(service.api)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=OPERATOR) as client:
        yield client


def described(where: SshHost, /, **given: Any) -> dict[str, Any]:
    """Return the body that makes a host known."""
    return {
        "name": "web-1",
        "kind": "files",
        "host": where.host,
        "port": where.port,
        "username": where.username,
        "host_key": where.host_key + " comment@host",
        "credential": {"private_key": where.client_key},
        "options": {"reload_command": "reload"},
        **given,
    }


def bound(host: SshHost, target_id: str, **given: Any) -> dict[str, Any]:
    """Return the body that binds the lineage to the host's files."""
    return {
        "lineage_id": "lineage",
        "target_id": target_id,
        "slot": {"certificate_path": str(host.certificate), "key_path": str(host.key)},
        "endpoints": [{"address": host.host, "port": host.tls_port}],
        **given,
    }


async def test_without_a_token_nothing_is_answered(service: Service):
    transport = httpx.ASGITransport(service.api)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for path in ("/v1/targets", "/v1/bindings", "/v1/deployments", "/v1/host-keys", "/v1/dead-letters"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")


async def test_a_viewer_reads_and_changes_nothing(api: httpx.AsyncClient, host: SshHost):
    assert (await api.get("/v1/targets", headers=VIEWER)).status_code == 200
    refused = await api.post("/v1/targets", json=described(host), headers=VIEWER)
    assert (refused.status_code, refused.json()["type"].split("/")[-1]) == (403, "forbidden")
    asked = await api.get("/v1/host-keys", params={"host": host.host}, headers=VIEWER)
    assert asked.status_code == 403


async def test_a_target_never_shows_its_credential(api: httpx.AsyncClient, host: SshHost, tmp_path: Path):
    made = await api.post("/v1/targets", json=described(host))
    assert made.status_code == 201, made.text
    view = made.json()
    assert view["host_key"] == host.host_key.split(" ")[0] + " " + host.host_key.split(" ")[1]
    shown = await api.get(f"/v1/targets/{view['id']}")
    assert shown.headers["etag"] == '"1"'
    listed = await api.get("/v1/targets")
    assert listed.json()["items"] == [view] == [shown.json()]
    for answer in (made, shown, listed):
        assert "credential" not in answer.text
        assert "PRIVATE" not in answer.text


async def test_a_target_sent_twice_with_one_key_is_made_once(api: httpx.AsyncClient, host: SshHost):
    key = {"Idempotency-Key": "1"}
    body = described(host)
    first, second = [await api.post("/v1/targets", json=body, headers=key) for _ in "ab"]
    assert first.json() == second.json()
    again = await api.post("/v1/targets", json=described(host))
    assert (again.status_code, "web-1" in again.json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"port": 70000}, "/body/port"),
        ({"surprise": 1}, "/body/surprise"),
        ({"credential": {}}, "/body/credential"),
        ({"credential": {"password": "x", "private_key": "y"}}, "/body/credential"),
        ({"options": {"relaod_command": "x"}}, "/body/options/relaod_command"),
        ({"host": "a host"}, "/body/host"),
    ],
)
async def test_a_wrong_field_is_pointed_at(
    api: httpx.AsyncClient, host: SshHost, change: dict[str, Any], pointer: str
):
    refused = await api.post("/v1/targets", json=described(host, **change))
    assert refused.status_code == 422
    assert pointer in [error["pointer"] for error in refused.json()["errors"]]
    assert refused.json()["next_step"]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "toaster"},
        {"host_key": "ssh-ed25519 AAAA-not-a-key-at-all"},
        {"credential": {"private_key": "-----BEGIN OPENSSH PRIVATE KEY-----\nsecret123\n"}},
    ],
)
async def test_what_cannot_be_used_is_refused_without_being_quoted(
    api: httpx.AsyncClient, host: SshHost, change: dict[str, Any]
):
    refused = await api.post("/v1/targets", json=described(host, **change))
    assert refused.status_code == 422
    assert "secret123" not in refused.text
    assert (await api.get("/v1/targets")).json()["items"] == []


async def test_a_body_that_is_not_json_is_told_so(api: httpx.AsyncClient):
    refused = await api.post("/v1/targets", content=b"{", headers={"Content-Type": "application/json"})
    assert (refused.status_code, refused.json()["type"].split("/")[-1]) == (400, "not-json")


async def test_what_is_not_there_is_not_found(api: httpx.AsyncClient):
    for path in ("/v1/targets/x", "/v1/bindings/x", "/v1/deployments/x"):
        answer = await api.get(path)
        assert (answer.status_code, bool(answer.json()["next_step"])) == (404, True)


async def test_a_change_on_an_old_version_is_refused(api: httpx.AsyncClient, host: SshHost):
    target = (await api.post("/v1/targets", json=described(host))).json()
    path, stale = f"/v1/targets/{target['id']}", {"If-Match": '"1"'}
    changed = await api.patch(path, json={"username": "other"}, headers=stale)
    assert (changed.json()["username"], changed.headers["etag"]) == ("other", '"2"')
    assert (await api.patch(path, json={"username": "third"}, headers=stale)).status_code == 412


async def test_a_check_says_what_works_and_what_not(api: httpx.AsyncClient, host: SshHost):
    target = (await api.post("/v1/targets", json=described(host))).json()
    path = f"/v1/targets/{target['id']}"
    good = (await api.post(f"{path}/check")).json()
    assert [check["name"] for check in good["checks"]] == ["reachable", "host_key", "login", "files"]
    assert good["ok"]
    await api.patch(path, json={"credential": {"password": "wrong"}})
    refused = (await api.post(f"{path}/check")).json()
    assert [(check["name"], check["ok"]) for check in refused["checks"]][-1] == ("login", False)
    await host.replace_host_key()
    changed = (await api.post(f"{path}/check")).json()
    assert [(check["name"], check["ok"]) for check in changed["checks"]] == [
        ("reachable", True),
        ("host_key", False),
    ]
    assert "GET /v1/host-keys" in changed["checks"][-1]["text"]


async def test_the_host_key_is_shown_for_a_person_to_compare(api: httpx.AsyncClient, host: SshHost):
    seen = await api.get("/v1/host-keys", params={"host": host.host, "port": host.port})
    assert seen.json()["host_key"] == host.host_key
    assert seen.json()["fingerprint"].startswith("SHA256:")
    nobody = await api.get("/v1/host-keys", params={"host": host.host, "port": 1})
    assert (nobody.status_code, bool(nobody.json()["next_step"])) == (502, True)


async def test_kinds_say_what_their_slots_take(api: httpx.AsyncClient):
    kinds = {kind["kind"]: kind for kind in (await api.get("/v1/target-kinds")).json()["items"]}
    assert set(kinds) >= {"files", "nginx", "apache", "haproxy", "tomcat", "java-keystore"}
    assert kinds["nginx"]["options"]["properties"]["test_command"]["default"] == "nginx -t"
    assert "certificate_path" in kinds["files"]["slot"]["required"]
    assert kinds["postfix"]["slot"]["properties"]["key_first"]["default"] is True
    assert kinds["java-keystore"]["slot"]["properties"]["format"]["default"] == "pkcs12"


async def test_a_slot_has_one_binding(api: httpx.AsyncClient, host: SshHost):
    target = (await api.post("/v1/targets", json=described(host))).json()
    binding = (await api.post("/v1/bindings", json=bound(host, target["id"]))).json()
    taken = await api.post("/v1/bindings", json=bound(host, target["id"], lineage_id="another"))
    assert (taken.status_code, binding["id"] in taken.json()["next_step"]) == (409, True)
    assert (await api.delete(f"/v1/targets/{target['id']}")).status_code == 409
    assert (await api.delete(f"/v1/bindings/{binding['id']}")).status_code == 204
    assert (await api.delete(f"/v1/targets/{target['id']}")).status_code == 204
    assert (await api.get("/v1/targets")).json()["items"] == []


@pytest.mark.parametrize(
    "change",
    [
        {"endpoints": []},
        {"endpoints": [{"address": "shop.test", "port": 443}]},
        {"slot": {"certificate_path": "relative.pem"}},
        {"slot": {"certificate_path": "/a.pem", "key_pth": "/b.pem"}},
    ],
)
async def test_a_wrong_binding_is_refused(api: httpx.AsyncClient, host: SshHost, change: dict[str, Any]):
    target = (await api.post("/v1/targets", json=described(host))).json()
    assert (await api.post("/v1/bindings", json=bound(host, target["id"], **change))).status_code == 422


async def test_bindings_and_deployments_come_in_pages(api: httpx.AsyncClient, host: SshHost):
    target = (await api.post("/v1/targets", json=described(host))).json()
    for name in "abc":
        body = bound(host, target["id"], slot={"certificate_path": f"/tmp/{name}.pem"})
        assert (await api.post("/v1/bindings", json=body)).status_code == 201
    first = (await api.get("/v1/bindings", params={"limit": 2})).json()
    rest = (await api.get("/v1/bindings", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    names = [item["slot"]["certificate_path"] for item in first["items"] + rest["items"]]
    assert names == ["/tmp/c.pem", "/tmp/b.pem", "/tmp/a.pem"]
    assert rest["next_cursor"] is None
    assert (await api.get("/v1/deployments", params={"state": "deployed"})).json()["items"] == []


async def test_a_renewal_is_deployed_by_the_running_service(
    service: Service, siblings: VaultSiblings, api: httpx.AsyncClient, host: SshHost, new: Issued
):
    target = (await api.post("/v1/targets", json=described(host))).json()
    await api.post("/v1/bindings", json=bound(host, target["id"]))
    siblings.vault.keys["order-1"] = new.key_pem
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.work)
        await _say_renewed(service, new)
        deployment = await _until(api, "deployed")
        tasks.cancel_scope.cancel()
    report = (await api.get(f"/v1/deployments/{deployment['id']}")).json()
    assert "verify" in [step["step"] for step in report["steps"]]
    again = await api.post(f"/v1/deployments/{deployment['id']}/retry")
    assert again.status_code == 409


async def test_a_failed_deployment_is_tried_again_on_request(
    service: Service, siblings: VaultSiblings, api: httpx.AsyncClient, host: SshHost, new: Issued
):
    target = (await api.post("/v1/targets", json=described(host))).json()
    await api.post("/v1/bindings", json=bound(host, target["id"]))
    siblings.vault.answer = httpx.Response(503)
    siblings.vault.keys["order-1"] = new.key_pem
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.work)
        await _say_renewed(service, new)
        waiting = await _until(api, "waiting")
        assert (waiting["failure"], bool(waiting["next_step"])) == ("key_unavailable", True)
        siblings.vault.answer = None
        retried = await api.post(f"/v1/deployments/{waiting['id']}/retry")
        assert retried.status_code == 202
        await _until(api, "deployed")
        tasks.cancel_scope.cancel()


async def test_how_certificates_go_out_is_said_shown_changed_and_taken_back(api: httpx.AsyncClient):
    path = "/v1/rollout-policies/lineage"
    assert (await api.get(path)).status_code == 404
    made = await api.put(path, json={"canaries": 2, "approvals_needed": 1, "approver_roles": ["approver"]})
    assert (made.status_code, made.headers["etag"]) == (200, '"1"'), made.text
    assert (
        (await api.get(path)).json()
        == made.json()
        == (await api.get("/v1/rollout-policies")).json()["items"][0]
    )
    changed = await api.put(path, json={"canaries": 3}, headers={"If-Match": '"1"'})
    assert (changed.json()["canaries"], changed.json()["version"]) == (3, 2)
    assert (await api.put(path, json={}, headers={"If-Match": '"1"'})).status_code == 412
    refused = await api.put(path, json={"approver_roles": ["king"]})
    assert (refused.status_code, "king" in refused.json()["detail"]) == (422, True)
    assert (await api.delete(path)).status_code == 204
    assert (await api.delete(path)).status_code == 404


async def test_windows_and_freezes_are_made_shown_changed_and_forgotten(api: httpx.AsyncClient):
    window: dict[str, Any] = {
        "name": "nights",
        "time_zone": "Europe/Berlin",
        "weekly": [{"day": "sunday", "start": "22:00", "duration": "PT4H"}],
    }
    freeze = {
        "reason": "Black Friday",
        "starts_at": "2026-11-26T00:00:00Z",
        "ends_at": "2026-11-30T00:00:00Z",
    }
    changes = (
        {"name": "later nights", "weekly": [{**window["weekly"][0], "start": "23:00:00"}]},
        {"reason": "Sale"},
    )
    for path, body, change in (
        ("/v1/change-windows", window, changes[0]),
        ("/v1/freezes", freeze, changes[1]),
    ):
        made = await api.post(path, json=body)
        assert made.status_code == 201, made.text
        one = f"{path}/{made.json()['id']}"
        assert (await api.get(one)).json() == made.json() == (await api.get(path)).json()["items"][0]
        changed = await api.patch(one, json=change, headers={"If-Match": '"1"'})
        assert (changed.status_code, changed.headers["etag"]) == (200, '"2"'), changed.text
        assert changed.json() == {**made.json(), **change, "version": 2} == (await api.get(one)).json()
        assert (await api.patch(one, json=change, headers={"If-Match": '"1"'})).status_code == 412
        assert (await api.delete(one)).status_code == 204
        assert (await api.get(one)).status_code == 404
    assert made.json()["starts_at"] == "2026-11-26T00:00:00Z"
    wrongs: list[dict[str, Any]] = [
        {"time_zone": "Mars/Olympus"},
        {"weekly": []},
        {"weekly": [{**window["weekly"][0], "duration": "P8D"}]},
    ]
    for wrong in wrongs:
        assert (await api.post("/v1/change-windows", json={**window, **wrong})).status_code == 422, wrong


async def test_approval_rules_are_made_shown_changed_and_taken_back(api: httpx.AsyncClient):
    path = "/v1/approval-rules"
    body = {"name": "load balancers", "group": "balancers", "approver_groups": ["network"]}
    made = await api.post(path, json=body)
    assert (made.status_code, made.json()["approvals_needed"]) == (201, 1), made.text
    one = f"{path}/{made.json()['id']}"
    assert (await api.get(one)).json() == made.json() == (await api.get(path)).json()["items"][0]
    changed = await api.patch(one, json={"approvals_needed": 2}, headers={"If-Match": '"1"'})
    assert (changed.json()["approvals_needed"], changed.headers["etag"]) == (2, '"2"')
    assert changed.json()["approver_groups"] == ["network"]
    wrongs: list[dict[str, Any]] = [
        {"approvals_needed": 0},
        {"approver_roles": ["king"]},
        {"target_id": "one", "group": "balancers"},
    ]
    for wrong in wrongs:
        assert (await api.post(path, json={**body, **wrong})).status_code == 422, wrong
    assert (await api.delete(one)).status_code == 204
    assert (await api.get(one)).status_code == 404


async def test_what_waits_shows_why_and_a_person_with_the_right_may_hurry_it(
    api: httpx.AsyncClient, service: Service, host: SshHost, new: Issued
):
    target = (await api.post("/v1/targets", json=described(host))).json()
    binding = (await api.post("/v1/bindings", json=bound(host, target["id"]))).json()
    now = utc_now()
    freeze = {
        "reason": "audit",
        "starts_at": now.isoformat(),
        "ends_at": (now + timedelta(days=1)).isoformat(),
    }
    assert (await api.post("/v1/freezes", json={**freeze, "target_id": target["id"]})).status_code == 201
    plan = (await api.get(f"/v1/bindings/{binding['id']}/plan")).json()
    assert (plan["slots"][0]["held_by"], plan["slots"][0]["steps"][0]["step"]) == ("freeze", "connect")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.work)
        await _say_renewed(service, new)
        waiting = await _until(api, "waiting")
        assert (waiting["hold"], "audit" in waiting["hold_reason"]) == ("freeze", True)
        tasks.cancel_scope.cancel()
    path, why = f"/v1/deployments/{waiting['id']}/override", {"reason": "the key is public"}
    assert (await api.post(path, json=why)).status_code == 403
    singly = bearer("operator", permissions=frozenset({"deployments:override"}))
    hurried = await api.post(path, json=why, headers=singly)
    assert hurried.status_code == 202, hurried.text
    assert hurried.json()["overridden_by"]


async def test_a_rollout_is_shown_with_its_waves_and_aborted(
    api: httpx.AsyncClient, service: Service, host: SshHost, new: Issued
):
    target = (await api.post("/v1/targets", json=described(host))).json()
    await api.post("/v1/bindings", json=bound(host, target["id"]))
    await api.put("/v1/rollout-policies/lineage", json={"approvals_needed": 1})
    await _say_renewed(service, new)
    [listed] = (await api.get("/v1/rollouts", params={"lineage_id": "lineage"})).json()["items"]
    path = f"/v1/rollouts/{listed['id']}"
    shown = (await api.get(path)).json()
    assert (shown["state"], shown["waves"]) == ("awaiting_approval", [{"wave": 0, "counts": {"waiting": 1}}])
    [asked] = (await api.get("/v1/approvals", params={"show": "all"})).json()["items"]
    assert (asked["kind"], asked["subject_id"]) == ("rollout", listed["id"])
    assert (await api.post(f"{path}/resume")).status_code == 409
    aborted = await api.post(f"{path}/abort", json={"reason": "a wrong chain"})
    assert (aborted.status_code, aborted.json()["state"]) == (202, "aborted")
    over = (await api.get(f"/v1/approvals/{asked['id']}")).json()
    assert (over["state"], "a wrong chain" in over["reason"]) == ("void", True)


async def _say_renewed(service: Service, new: Issued) -> None:
    from services.provisioner.actions.deployments import Deployments

    event = Event.of(renewed(new, lineage="lineage", order="order-1"), source="renewal", now=utc_now())
    async with service.database.transaction() as tx:
        deployments = Deployments(service.database, sending=sending_of(service.database), ring=lambda: None)
        await deployments.begin(tx, event, now=utc_now())


async def _until(api: httpx.AsyncClient, state: str) -> dict[str, Any]:
    with anyio.fail_after(timedelta(seconds=20).total_seconds()):
        while True:
            [item] = (await api.get("/v1/deployments")).json()["items"] or [{"state": None}]
            if item["state"] == state:
                return dict(item)
            await anyio.sleep(0.05)
