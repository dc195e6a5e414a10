"""Who owns what, through the HTTP door: what it answers, and what it refuses in which words."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.inventory.api.certificates import CertificateReportView, CertificateView
from services.inventory.service import SCHEMA
from shared.bus.sqlite import SqliteBus
from shared.http import Page
from shared.store import Database
from tests.builders import surroundings
from tests.inventory.conftest import Issue
from tests.inventory.ledger import DAY, Ledger, found, place
from tests.inventory.test_api import NOW, Running, assert_written_as, problem, started
from tests.servers.tls import Issued

Json = dict[str, Any]


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    """An inventory over SQLite, where the database makes no difference."""
    url = f"sqlite:///{tmp_path}/inventory.db"
    database = Database(url, source="inventory")
    await SCHEMA.upgrade(database)
    await database.close()
    around = surroundings(tmp_path, environ={"EVERLEAF_INVENTORY_DATABASE_URL": url})
    async with started(around) as opened:
        yield opened


@pytest.fixture
async def shop(running: Running, bus: SqliteBus, issue: Issue) -> Issued:
    """A certificate that was found."""
    issued = issue("shop.test", since=10, ends_in=80, at=NOW)
    await Ledger(running.service.database, bus, now=NOW).hear(found(issued, place(), NOW - DAY))
    return issued


async def ask(running: Running, method: str, path: str, body: Any = None, **headers: str) -> Any:
    sent = {**running.admin, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await running.client.request(method, path, json=body, headers=sent)


async def made(running: Running, path: str, body: Json) -> Json:
    answer = await running.post(path, body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_a_team_is_made_once_changed_by_who_has_read_it_and_not_lost(
    running: Running, shop: Issued
) -> None:
    body = {"name": "Payments", "contacts": [{"kind": "email", "value": "pay@example.test"}]}
    first = await ask(running, "POST", "/v1/teams", body, Idempotency_Key="one")
    again = await ask(running, "POST", "/v1/teams", body, Idempotency_Key="one")
    assert first.json() == again.json()
    assert (first.json()["id"], first.json()["owns"]) == ("payments", 0)
    problem(await ask(running, "POST", "/v1/teams", body), 409)
    problem(await ask(running, "POST", "/v1/teams", {"name": "支払い"}), 422)
    both = {"name": "Ops", "deputy": {"team": "payments", "contact": body["contacts"][0]}}
    problem(await ask(running, "POST", "/v1/teams", both), 422)
    await made(running, "/v1/teams", {"name": "Ops", "deputy": {"team": "payments"}})

    changed = await ask(running, "PATCH", "/v1/teams/payments", {"name": "Pay"}, If_Match='"1"')
    assert (changed.headers["etag"], changed.json()["contacts"]) == ('"2"', body["contacts"])
    problem(await ask(running, "PATCH", "/v1/teams/payments", {"name": "P"}, If_Match='"1"'), 412)
    circle = await ask(running, "PATCH", "/v1/teams/payments", {"deputy": {"team": "ops"}})
    assert "stand in for itself" in problem(circle, 422)["detail"]

    await ask(running, "PATCH", f"/v1/certificates/{shop.fingerprint}", {"owner": "payments"})
    refused = problem(await ask(running, "DELETE", "/v1/teams/payments"), 409)
    assert "owns 1 certificates" in refused["detail"]
    assert "reassign_to" in refused["next_step"]
    assert (await ask(running, "DELETE", "/v1/teams/payments?reassign_to=ops")).status_code == 204
    [left] = (await running.get("/v1/teams")).json()["items"]
    assert (left["id"], left["owns"], left["deputy"]) == ("ops", 1, None)


async def test_a_certificate_is_labelled_by_who_has_read_it(running: Running, shop: Issued) -> None:
    await made(running, "/v1/teams", {"name": "Web"})
    await made(
        running,
        "/v1/fields",
        {"name": "stage", "kind": "choice", "choices": ["prod", "test"], "is_required": True},
    )
    await made(running, "/v1/groups", {"id": "hand", "name": "By hand"})
    path = f"/v1/certificates/{shop.fingerprint}"
    read = await running.get(path)
    assert (read.json()["owner"], read.json()["missing_fields"]) == (None, ["stage"])
    assert (await running.get("/v1/summary")).json()["unowned"] == 1
    wanted = {
        "owner": "web",
        "add_tags": ["Env:Prod"],
        "set_fields": {"stage": "prod"},
        "add_to_groups": ["hand"],
    }
    answer = await ask(running, "PATCH", path, wanted, If_Match=read.headers["etag"])
    said = answer.json()
    assert said["owner"] == {"id": "web", "name": "Web", "set_by": "person:admin"}
    assert (said["tags"], said["fields"], said["groups"]) == (["env:prod"], {"stage": "prod"}, ["hand"])
    problem(await ask(running, "PATCH", path, wanted, If_Match=read.headers["etag"]), 412)
    assert (await running.get(path)).headers["etag"] == answer.headers["etag"]
    page = await running.get("/v1/certificates")
    [listed] = page.json()["items"]
    assert listed == said
    assert_written_as(Page[CertificateView], page)
    assert_written_as(CertificateReportView, await running.get(path))
    assert (await running.get("/v1/summary")).json()["unowned"] == 0
    for body, words in (
        ({}, "Nothing is to be changed"),
        ({"owner": "nobody"}, "no team 'nobody'"),
        ({"set_fields": {"stage": "other"}}, "one of prod, test"),
        ({"set_fields": {"stage": None}}, "required"),
        ({"set_fields": {"other": 1}}, "no field 'other'"),
        ({"add_tags": ["a"], "remove_tags": ["a"]}, "at once"),
        ({"add_to_groups": ["other"]}, "no group 'other'"),
    ):
        assert words in problem(await ask(running, "PATCH", path, body), 422)["detail"]
    unused = await ask(running, "PATCH", "/v1/fields/stage", {"choices": ["prod", "dev"]})
    assert unused.status_code == 200
    problem(await ask(running, "PATCH", "/v1/fields/stage", {"choices": ["dev"]}), 409)
    problem(await ask(running, "DELETE", "/v1/fields/stage"), 409)
    assert (await ask(running, "DELETE", "/v1/fields/stage?drop_values=true")).status_code == 204


async def test_groups_and_rules_are_tried_before_they_count(running: Running, shop: Issued) -> None:
    seen = (await running.post("/v1/groups/preview", {"rule": "name under shop.test"})).json()
    assert (seen["matches"], seen["examples"][0]["fingerprint"]) == (1, shop.fingerprint)
    wrong = problem(await running.post("/v1/groups/preview", {"rule": "nmae = x"}), 422)
    assert (wrong["errors"][0]["pointer"], wrong["errors"][0]["column"]) == ("/body/rule", "1")
    for text in ("group = web", ""):
        problem(await running.post("/v1/groups", {"name": "web", "rule": text}), 422)
    made_ = await made(running, "/v1/groups", {"name": "Web", "rule": "name under shop.test"})
    assert (made_["id"], made_["members"], made_["is_settled"]) == ("web", 1, True)
    member = f"/v1/groups/web/members/{shop.fingerprint}"
    problem(await ask(running, "PUT", member), 409)
    problem(await ask(running, "PATCH", "/v1/groups/web", {"rule": None}), 409)
    [listed] = (await running.get("/v1/groups/web/members")).json()["items"]
    assert listed["groups"] == ["web"]
    await made(running, "/v1/groups", {"id": "hand", "name": "Hand"})
    member = f"/v1/groups/hand/members/{shop.fingerprint}"
    assert (await ask(running, "PUT", member)).status_code == 204
    assert (await running.get("/v1/groups/hand")).json()["members"] == 1
    assert (await ask(running, "DELETE", member)).status_code == 204

    await made(running, "/v1/teams", {"name": "Web"})
    rule = await made(
        running,
        "/v1/assignment-rules",
        {"name": "r", "query": "group = web", "owner": "web", "add_groups": ["hand"]},
    )
    problem(await ask(running, "DELETE", "/v1/groups/hand"), 409)
    tried = (await running.post("/v1/assignment-rules/apply", {"dry_run": True})).json()
    assert (tried["state"], tried["total"], tried["changed"]) == ("dry-run", 1, 1)
    done = (await running.post("/v1/assignment-rules/apply", {})).json()
    assert (done["state"], done["changed"], done["matched"]) == ("done", 1, 1)
    path = f"/v1/assignment-rules/{rule['id']}"
    later = await ask(running, "PATCH", path, {"is_enabled": False}, If_Match='"1"')
    assert (later.json()["is_enabled"], later.json()["owner"]) == (False, "web")
    assert (await ask(running, "DELETE", path)).status_code == 204

    body = {"query": "owner = web and group = hand", "owner": None, "dry_run": True}
    assert (await running.post("/v1/certificates/bulk", body)).json()["changed"] == 1
    edit = (await running.post("/v1/certificates/bulk", {**body, "dry_run": False})).json()
    assert (edit["matched"], edit["changed"], edit["state"]) == (1, 1, "done")
    assert [each["id"] for each in (await running.get("/v1/edits")).json()["items"]] == [
        edit["id"],
        done["id"],
    ]
    assert (await running.get(f"/v1/edits/{edit['id']}")).json() == edit
    for wrong_one in (
        {"owner": "web"},
        {"query": "seen", "fingerprints": [shop.fingerprint], "owner": "web"},
    ):
        problem(await running.post("/v1/certificates/bulk", wrong_one), 422)
