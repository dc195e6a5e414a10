"""Schedules, budgets, distrusts and profiles over HTTP."""

from datetime import timedelta
from typing import Any

import anyio
import httpx

from shared.clock import utc_now
from shared.service import Service
from tests.builders import bearer
from tests.renewal.test_api import PROFILE, api, at_work, become, port, service, trust
from tests.renewal.workshop import expiring

__all__ = ["api", "at_work", "port", "service"]
VIEWER = bearer("viewer")


async def tell(service: Service, **given: Any) -> None:
    """Let inventory say that the lineage runs out."""
    now = utc_now()
    values = {"not_before": now - timedelta(days=1), "not_after": now + timedelta(days=89), **given}
    async with service.database.transaction() as tx:
        tx.emit(expiring(now, **values), now=now)


async def test_a_schedule_is_shown_with_its_reason_and_renewed_now_by_hand(
    at_work: httpx.AsyncClient, service: Service
) -> None:
    assert (await at_work.get("/v1/schedules/lineage")).status_code == 404
    assert (await at_work.post("/v1/schedules/lineage/renew-now")).status_code == 404
    await at_work.put("/v1/enrolments/lineage", json={"profile": "web"})
    shown = (await at_work.get("/v1/schedules/lineage")).json()
    assert (shown["reason"], shown["renew_at"]) == ("unknown", None)
    await tell(service)
    with anyio.fail_after(60):
        while (shown := (await at_work.get("/v1/schedules/lineage")).json())["reason"] == "unknown":
            await anyio.sleep(0.05)
    assert shown["reason"] == "fraction"
    assert shown["names"] == ["shop.example.test"]
    [listed] = (await at_work.get("/v1/schedules", params={"reason": "fraction"})).json()["items"]
    assert listed == shown
    assert (
        await at_work.get("/v1/schedules", params={"due_before": "2026-01-01T00:00:00"})
    ).status_code == 422
    assert (await at_work.get("/v1/schedules", params={"cursor": "WyJ4IiwieSJd"})).status_code == 422
    refused = await at_work.post("/v1/schedules/lineage/renew-now", headers=VIEWER)
    assert refused.status_code == 403
    asked = await at_work.post("/v1/schedules/lineage/renew-now")
    assert (asked.status_code, asked.json()["reason"]) == (202, "asked")
    assert asked.headers["Location"] == f"/renewal/v1/orders/{asked.json()['id']}"
    order = await become(at_work, f"/v1/orders/{asked.json()['id']}", "renewed")
    shown = (await at_work.get("/v1/schedules/lineage")).json()
    assert (shown["fingerprint"], shown["reason"]) == (order["fingerprint"], "fraction")


async def test_a_running_service_orders_what_is_due(at_work: httpx.AsyncClient, service: Service) -> None:
    await at_work.put("/v1/enrolments/lineage", json={"profile": "web"})
    begin = utc_now() - timedelta(days=59)
    # Due at once after the profile says so: the workers see to it by themselves.
    await tell(service, not_before=begin, not_after=begin + timedelta(days=90))
    with anyio.fail_after(60):
        while (await at_work.get("/v1/schedules/lineage")).json()["reason"] == "unknown":
            await anyio.sleep(0.05)
    [profile] = (await at_work.get("/v1/profiles")).json()["items"]
    changed = await at_work.put(f"/v1/profiles/{profile['id']}", json={**PROFILE, "renew_fraction": 0.3})
    assert changed.status_code == 200, changed.text
    with anyio.fail_after(60):
        while not (items := (await at_work.get("/v1/orders", params={"state": "renewed"})).json()["items"]):
            await anyio.sleep(0.05)
    assert [item["reason"] for item in items] == ["profile"]


async def test_a_profile_is_changed_by_who_has_read_it_last(api: httpx.AsyncClient) -> None:
    await trust(api)
    [made] = (await api.get("/v1/profiles")).json()["items"]
    path = f"/v1/profiles/{made['id']}"
    shown = await api.get(path)
    assert (shown.json(), shown.headers["ETag"]) == (made, '"1"')
    more = {"renew_fraction": 0.5, "approvals_needed": 2, "approver_groups": ["security"], "lifetime": "P30D"}
    changed = await api.put(path, json={**PROFILE, **more}, headers={"If-Match": '"1"'})
    assert changed.headers["ETag"] == '"2"'
    assert {name: changed.json()[name] for name in more} == more
    stale = await api.put(path, json=PROFILE, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    wrong = await api.put(path, json={**PROFILE, "key_custody": "pkcs11"})
    assert wrong.json()["errors"][0]["pointer"] == "/body/key_custody"


async def test_a_profile_is_forgotten_as_long_as_nothing_goes_by_it(api: httpx.AsyncClient) -> None:
    await trust(api)
    [made] = (await api.get("/v1/profiles")).json()["items"]
    path, enrolment = f"/v1/profiles/{made['id']}", "/v1/enrolments/lineage"
    assert (await api.delete(path, headers=VIEWER)).status_code == 403
    await api.put(enrolment, json={"profile": "web"})
    refused = await api.delete(path)
    assert (refused.status_code, refused.json()["detail"]) == (409, "Lineages are renewed by web.")
    assert "/v1/enrolments/" in refused.json()["next_step"]
    await api.delete(enrolment)
    assert (await api.delete(path)).status_code == 204
    assert (await api.get(path)).status_code == (await api.delete(path)).status_code == 404

    again = f"/v1/profiles/{(await api.post('/v1/profiles', json=PROFILE)).json()['id']}"
    await api.post("/v1/orders", json={"names": ["a.example.test"], "profile": "web"})
    assert "stays as the record" in (await api.delete(again)).json()["detail"]
    assert (await api.get(again)).status_code == 200


async def test_a_budget_is_set_and_shown(api: httpx.AsyncClient) -> None:
    made = await trust(api)
    path = f"/v1/authorities/{made['id']}/budget"
    assert (await api.get(path)).json()["is_usual"] is True
    body = {"orders": {"most": 300, "window": "PT3H"}, "exempts_replacements": True}
    put = await api.put(path, json=body)
    assert put.json() == (await api.get(path)).json()
    assert put.json()["orders"] == body["orders"]
    assert (put.json()["is_usual"], put.json()["same_names"]) == (False, None)
    assert (await api.put(path, json={"orders": {"most": 0, "window": "PT3H"}})).status_code == 422
    public = {
        "name": "le",
        "kind": "acme",
        "options": {"directory_url": "https://acme-v02.api.letsencrypt.org/directory"},
    }
    le = (await api.post("/v1/authorities", json=public)).json()
    assert le["trust"] == "public"
    usual = (await api.get(f"/v1/authorities/{le['id']}/budget")).json()
    assert (usual["orders"], usual["failures"]) == (
        {"most": 300, "window": "PT3H"},
        {"most": 5, "window": "PT1H"},
    )


async def test_who_is_not_trusted_is_told_listed_and_lifted(api: httpx.AsyncClient) -> None:
    await trust(api)
    made = await api.post("/v1/distrusts", json={"authority": "house-ca", "reason": "Its key is out."})
    assert (made.status_code, made.json()["due"]) == (201, 0)
    [listed] = (await api.get("/v1/distrusts")).json()["items"]
    assert listed["id"] == made.json()["id"]
    refused = await api.post("/v1/orders", json={"names": ["a.example.test"], "profile": "web"})
    assert refused.status_code == 409
    assert "fallback" in refused.json()["next_step"]
    assert (await api.delete(f"/v1/distrusts/{listed['id']}")).status_code == 204
    assert (await api.delete(f"/v1/distrusts/{listed['id']}")).status_code == 404
    assert (await api.post("/v1/distrusts", json={"reason": "x"})).status_code == 422


async def test_an_order_needs_names_or_a_request(api: httpx.AsyncClient) -> None:
    await trust(api)
    refused = await api.post("/v1/orders", json={"profile": "web"})
    assert refused.status_code == 422
    refused = await api.post("/v1/orders", json={"profile": "web", "csr": "nonsense"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/body/csr")
