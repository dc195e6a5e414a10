import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic import BaseModel

from services.inventory.api.certificates import CertificateReportView, CertificateView
from services.inventory.domain.credentials import api_key
from services.inventory.service import NAME, SCHEMA, build
from shared.access import PublishedKeys, Verifier, base64url
from shared.bus.sqlite import SqliteBus
from shared.clock import Clock, utc_now
from shared.errors import Invalid
from shared.events.discovery import Held, HeldKey
from shared.http import Page
from shared.service import Service, Surroundings
from shared.settings import SettingsSource
from shared.store import Database
from tests.builders import ISSUER, bearer, surroundings
from tests.inventory.conftest import Issue
from tests.inventory.ledger import DAY, HOUR, Ledger, found, place, stored
from tests.servers.tls import Issued

NOW = utc_now().replace(microsecond=0)
SEALING_KEY = base64url(X25519PrivateKey.generate().public_key().public_bytes_raw())


class Running:
    """An inventory as a process runs it: it verifies tokens with the keys it publishes itself."""

    def __init__(self, service: Service, around: Surroundings) -> None:
        self.service = service
        self.around = around
        self.client = _client(service)
        self.admin = {"Authorization": f"Bearer {(around.data_dir / 'admin.token').read_text().strip()}"}
        written = around.data_dir / "keys" / "provisioner.key"
        self.provisioner_key = written.read_text().strip() if written.exists() else ""

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self.client.get(path, params=query, headers=self.admin)

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return await self.client.post(path, json=body, headers=headers or self.admin)

    async def exchange(self, key: str, sealing_key: str | None = None) -> httpx.Response:
        return await self.post("/v1/tokens", {"sealing_key": sealing_key}, {"Authorization": f"Bearer {key}"})


def assert_written_as(view: type[BaseModel], answer: httpx.Response) -> None:
    """See that an answer, which no model has written, is what its model would write."""
    assert view.model_validate_json(answer.content, strict=True).model_dump(mode="json") == answer.json()


def _client(service: Service) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(service.api, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://inventory")


@asynccontextmanager
async def started(around: Surroundings) -> AsyncIterator[Running]:
    services: list[Service] = []

    async def published() -> Mapping[str, Any]:
        return dict((await _client(services[0]).get("/v1/jwks.json")).json())

    around = replace(around, verifier=Verifier(PublishedKeys(published), issuer=ISSUER))
    async with build(around) as service:
        services.append(service)
        yield Running(service, around)


@pytest.fixture
async def around(tmp_path: Path, database: Database, database_url: str) -> Surroundings:
    return surroundings(tmp_path, environ={"EVERLEAF_INVENTORY_DATABASE_URL": database_url})


@pytest.fixture
async def running(around: Surroundings) -> AsyncIterator[Running]:
    async with started(around) as opened:
        yield opened


@pytest.fixture
async def with_two(
    running: Running, database: Database, bus: SqliteBus, issue: Issue
) -> tuple[Issued, Issued]:
    """A certificate and its successor, both found at one place."""
    first = issue("shop.test", since=80, ends_in=10, at=NOW)
    second = issue("shop.test", since=0, ends_in=90, at=NOW)
    ledger = Ledger(database, bus, now=NOW)
    await ledger.hear(found(first, place(), NOW - DAY), found(second, place(), NOW))
    return first, second


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["next_step"]
    return document


async def test_every_route_is_closed_without_a_token(running: Running) -> None:
    for path, operations in running.service.api.openapi()["paths"].items():
        for method, operation in operations.items():
            if "x-public" not in operation:
                answer = await running.client.request(method, path.replace("{", "").replace("}", ""))
                problem(answer, 401)


async def test_a_token_without_the_permission_is_refused(around: Surroundings) -> None:
    async with build(around) as service:
        client = _client(service)
        problem(
            await client.get("/v1/certificates", headers=bearer(permissions=frozenset({"places:read"}))), 403
        )
        problem(await client.get("/v1/principals", headers=bearer("operator", "approver", "auditor")), 403)
        assert (await client.get("/v1/certificates", headers=bearer("viewer"))).status_code == 200


async def test_bad_bodies_are_problems(running: Running) -> None:
    not_json = {**running.admin, "Content-Type": "application/json"}
    problem(await running.client.post("/v1/principals", content=b"{", headers=not_json), 400)
    unknown = await running.post("/v1/principals", {"name": "ci", "kind": "machine", "colour": "red"})
    assert problem(unknown, 422)["errors"][0]["pointer"] == "/body/colour"
    wrong = await running.post("/v1/principals", {"name": "ci", "kind": "machine", "roles": ["king"]})
    assert problem(wrong, 422)["errors"][0]["pointer"] == "/body/roles/0"
    problem(await running.get("/v1/certificates", port=70000), 422)
    problem(await running.get("/v1/certificates", cursor="rubbish"), 422)


async def test_certificates_are_listed_shown_and_downloaded(
    running: Running, with_two: tuple[Issued, Issued]
) -> None:
    old, new = with_two
    answer = await running.get("/v1/certificates", limit=1)
    assert_written_as(Page[CertificateView], answer)
    first = answer.json()
    second = (await running.get("/v1/certificates", limit=1, cursor=first["next_cursor"])).json()
    assert [page["items"][0]["fingerprint"] for page in (first, second)] == [old.fingerprint, new.fingerprint]
    assert second["next_cursor"] is None
    current = (await running.get("/v1/certificates", current=True, name="shop.test")).json()["items"]
    assert [item["fingerprint"] for item in current] == [new.fingerprint]
    soon = await running.get("/v1/certificates", expires_before=(NOW + 20 * DAY).isoformat())
    assert [item["fingerprint"] for item in soon.json()["items"]] == [old.fingerprint]
    shown = (await running.get(f"/v1/certificates/{new.fingerprint}")).json()
    assert [where["key"] for where in shown["places"]] == [place().key]
    assert shown["place_count"] == 1
    answer = await running.get(f"/v1/certificates/{old.fingerprint}")
    assert_written_as(CertificateReportView, answer)
    passed = answer.json()["thresholds_passed"]
    assert [each["urgency"] for each in passed] == ["renew", "warning", "error"]
    view = (await running.get(f"/v1/certificates/{new.fingerprint}/pem")).json()
    assert view["pem"].encode() == new.certificate_pem
    text = await running.client.get(
        f"/v1/certificates/{new.fingerprint}/pem", headers={**running.admin, "Accept": "text/plain"}
    )
    assert text.content == new.chain_pem
    problem(await running.get(f"/v1/certificates/{'0' * 64}"), 404)


async def test_a_lineage_tells_its_timeline_in_pages(
    running: Running, with_two: tuple[Issued, Issued]
) -> None:
    lineage = (await running.get("/v1/lineages")).json()["items"][0]
    assert lineage["title"] == "shop.test"
    shown = (await running.get(f"/v1/lineages/{lineage['id']}")).json()
    assert [each["fingerprint"] for each in shown["certificates"]] == [
        each.fingerprint for each in with_two[::-1]
    ]
    kinds: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": 1, **({"cursor": cursor} if cursor else {})}
        page = (await running.get(f"/v1/lineages/{lineage['id']}/timeline", **query)).json()
        kinds += [item["kind"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(kinds) == ["expiring", "found", "found", "replaced"]
    problem(await running.get(f"/v1/lineages/{lineage['id']}/timeline", cursor="WyJhIl0="), 422)
    problem(await running.get("/v1/lineages/none/timeline"), 404)


async def test_places_and_their_history_are_shown(running: Running, with_two: tuple[Issued, Issued]) -> None:
    old, new = with_two
    [where] = (await running.get("/v1/places", port=443)).json()["items"]
    assert where["fingerprint"] == new.fingerprint
    history = (await running.get("/v1/places/history", key=place().key)).json()
    assert [each["fingerprint"] for each in history["servings"]] == [new.fingerprint, old.fingerprint]
    then = await running.get("/v1/places/history", key=place().key, at=(NOW - HOUR).isoformat())
    assert [each["fingerprint"] for each in then.json()["servings"]] == [old.fingerprint]
    problem(await running.get("/v1/places/history", key="tls://192.0.2.9:443/"), 404)


async def test_replacements_and_the_summary_are_shown(
    running: Running, with_two: tuple[Issued, Issued]
) -> None:
    [replacement] = (await running.get("/v1/replacements", state="replaced")).json()["items"]
    assert replacement["old_fingerprint"] == with_two[0].fingerprint
    summary = (await running.get("/v1/summary")).json()
    assert (summary["certificates"], summary["current"], summary["places"], summary["stale"]) == (2, 1, 1, 0)
    assert set(summary["expiring"]) == {"renew", "warning", "error", "critical", "expired"}
    assert [each["days"] for each in summary["ending"]] == [7, 30, 90]


async def test_the_first_start_leaves_files_that_only_we_can_read(running: Running) -> None:
    for name in ("admin.token", "keys/provisioner.key"):
        assert stat.S_IMODE((running.around.data_dir / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((running.around.data_dir / "keys").stat().st_mode) == 0o700
    assert (await running.get("/v1/certificates")).status_code == 200


async def test_starting_again_changes_nothing_that_is_still_good(around: Surroundings) -> None:
    async with started(around) as first:
        before = (first.admin, first.provisioner_key, (await first.get("/v1/jwks.json")).json())
    async with started(around) as second:
        assert (second.admin, second.provisioner_key, (await second.get("/v1/jwks.json")).json()) == before
        names = {item["name"] for item in (await second.get("/v1/principals")).json()["items"]}
        assert names == {"admin", "notifier", "provisioner", "renewal"}


async def test_starting_again_replaces_what_is_lost_or_ends_soon(around: Surroundings) -> None:
    async with started(around) as first:
        before = (first.admin, first.provisioner_key)
    (around.data_dir / "admin.token").write_text("rubbish")
    (around.data_dir / "keys" / "provisioner.key").unlink()
    async with started(around) as second:
        assert second.admin != before[0]
        assert second.provisioner_key != before[1]
        assert (await second.exchange(before[1])).status_code == 200
    kept = (second.admin, second.provisioner_key)
    later = replace(around, clock=lambda: utc_now() + timedelta(days=340))
    async with started(later) as third:
        assert third.admin != kept[0]
        assert third.provisioner_key != kept[1]


def ahead(by: timedelta) -> Clock:
    return lambda: utc_now() + by


async def test_keys_that_the_settings_hold_are_good_as_long_as_they_hold_them_and_none_is_written(
    around: Surroundings,
) -> None:
    given = {name: api_key(bytes([number]) * 20) for number, name in enumerate(("provisioner", "renewal"))}
    told = {f"EVERLEAF_{name.upper()}_API_KEY": key for name, key in given.items()}
    around = replace(around, settings=SettingsSource(environ={**around.settings.environ, **told}))
    for at in (timedelta(), timedelta(days=340)):
        # Tokens are asked for with the real clock: the key must still be good when the process has run for a year.
        async with started(replace(around, clock=ahead(at))) as running:
            assert [(await running.exchange(key)).status_code for key in given.values()] == [200, 200]
            assert running.provisioner_key == ""
    assert [path.name for path in (around.data_dir / "keys").iterdir()] == ["notifier.key"]
    wrong = {**around.settings.environ, "EVERLEAF_RENEWAL_API_KEY": "a password"}
    with pytest.raises(Invalid, match="EVERLEAF_RENEWAL_API_KEY is not an API key"):
        async with started(replace(around, settings=SettingsSource(environ=wrong))):
            pass


async def test_several_replicas_may_start_for_the_first_time_together(around: Surroundings) -> None:
    seen: list[tuple[int, int]] = []

    async def start() -> None:
        async with started(around) as one:
            keys = (await one.get("/v1/jwks.json")).json()["keys"]
            principals = (await one.get("/v1/principals")).json()["items"]
            seen.append((len(keys), len(principals)))

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(start)
    assert seen == [(1, 4)] * 4


async def test_a_service_exchanges_its_key_for_a_short_token(running: Running) -> None:
    answer = (await running.exchange(running.provisioner_key, SEALING_KEY)).json()
    assert answer["token_type"] == "Bearer"
    ends = datetime.fromisoformat(answer["expires_at"])
    assert timedelta(minutes=4) < ends - utc_now() <= timedelta(minutes=5)
    speaks_for = await running.around.verifier.verify(answer["access_token"])
    assert speaks_for.name == "provisioner"
    assert speaks_for.permissions == {
        "keys:release",
        "requests:bring",
        "orders:read",
        "certificates:read",
    }
    assert speaks_for.sealing_key is not None
    assert base64url(speaks_for.sealing_key) == SEALING_KEY
    bearer = {"Authorization": f"Bearer {answer['access_token']}"}
    assert (await running.client.get("/v1/certificates", headers=bearer)).is_success
    problem(await running.client.get("/v1/places", headers=bearer), 403)


async def test_another_sealing_key_is_refused_until_an_administrator_unpins(running: Running) -> None:
    other = base64url(X25519PrivateKey.generate().public_key().public_bytes_raw())
    assert (await running.exchange(running.provisioner_key, SEALING_KEY)).status_code == 200
    refused = problem(await running.exchange(running.provisioner_key, other), 409)
    path = refused["next_step"].split("POST ")[1].rstrip(".")
    assert (await running.exchange(running.provisioner_key)).status_code == 200
    assert (await running.post(path, {})).json()["sealing_key"] is None
    assert (await running.exchange(running.provisioner_key, other)).status_code == 200


@pytest.mark.parametrize("sealing_key", ["AAAA", "not base64!", "é"])
async def test_a_sealing_key_that_is_none_is_refused(running: Running, sealing_key: str) -> None:
    problem(await running.exchange(running.provisioner_key, sealing_key), 422)


async def test_keys_that_are_not_good_get_no_token(running: Running) -> None:
    key = running.provisioner_key
    problem(await running.client.post("/v1/tokens", json={}), 401)
    for wrong in (key[:-1], key[:-1] + ("0" if key[-1] != "0" else "1"), "evl_", "x", "ü"):
        headers = httpx.Headers({b"Authorization": f"Bearer {wrong}".encode()})
        problem(await running.client.post("/v1/tokens", json={}, headers=headers), 401)
    later = replace(running.around, clock=lambda: utc_now() + timedelta(days=366))
    async with build(later) as service:
        headers = httpx.Headers({"Authorization": f"Bearer {key}"})
        problem(await _client(service).post("/v1/tokens", json={}, headers=headers), 401)


async def test_a_principal_gets_a_key_uses_it_and_loses_it(running: Running) -> None:
    made = await running.post("/v1/principals", {"name": "ci", "kind": "machine", "roles": ["viewer"]})
    assert made.status_code == 201, made.text
    principal_id = made.json()["id"]
    key = (await running.post(f"/v1/principals/{principal_id}/api-keys", {"days": 30})).json()
    token = (await running.exchange(key["key"])).json()["access_token"]
    assert (
        await running.client.get("/v1/places", headers={"Authorization": f"Bearer {token}"})
    ).status_code == 200
    shown = (await running.get(f"/v1/principals/{principal_id}")).text
    assert key["id"] in shown
    assert key["key"] not in shown
    assert (
        await running.client.delete(f"/v1/api-keys/{key['id']}", headers=running.admin)
    ).status_code == 204
    problem(await running.exchange(key["key"]), 401)
    [revoked] = (await running.get(f"/v1/principals/{principal_id}")).json()["api_keys"]
    assert revoked["revoked_at"]
    assert revoked["last_used_at"]


async def test_principals_are_made_once_and_named_once(running: Running) -> None:
    body = {"name": "ci", "kind": "machine"}
    headers = {**running.admin, "Idempotency-Key": "once"}
    first = await running.post("/v1/principals", body, headers)
    assert (await running.post("/v1/principals", body, headers)).json() == first.json()
    problem(await running.post("/v1/principals", body), 409)
    problem(await running.post("/v1/principals/none/api-keys", {}), 404)
    problem(await running.post("/v1/principals/none/unpin", {}), 404)
    problem(
        await running.post(
            "/v1/principals", {"name": "x", "kind": "machine", "permissions": ["keys:release"]}
        ),
        422,
    )
    ci = f"/v1/principals/{first.json()['id']}/api-keys"
    problem(await running.post(ci, {"days": 366}), 422)
    problem(await running.client.delete("/v1/api-keys/none", headers=running.admin), 404)


async def test_no_secret_is_in_the_database_in_clear(running: Running, database: Database) -> None:
    import sqlalchemy as sa

    await running.exchange(running.provisioner_key, SEALING_KEY)
    claims = jwt.decode(running.admin["Authorization"][7:], options={"verify_signature": False})
    kept = ""
    async with database.read() as session:
        for table in (*SCHEMA.metadata[0].sorted_tables, *SCHEMA.metadata[1].sorted_tables):
            kept += repr((await session.execute(sa.select(table))).all())
    assert claims["jti"] in kept
    assert running.provisioner_key not in kept
    assert running.admin["Authorization"][7:] not in kept


async def test_events_on_the_bus_become_certificates_and_an_event_in_turn(
    around: Surroundings, issue: Issue
) -> None:
    from shared.bus import Delivery, Message, Outcome, Queue, Verdict

    heard: list[Delivery] = []
    listening = Queue(name="listener", types=("certificate.expiring",))

    async def listen(deliveries: Any) -> list[Outcome]:
        heard.extend(deliveries)
        return [Outcome(verdict=Verdict.DONE) for _ in deliveries]

    expiring = issue("shop.test", since=85, ends_in=5, at=NOW)
    event = found(expiring, place(), NOW)
    async with started(around) as running, anyio.create_task_group() as tasks:
        await around.bus.declare([*running.service.queues, listening])
        tasks.start_soon(running.service.work)
        tasks.start_soon(around.bus.consume, listening, listen)
        await around.bus.publish([Message(id=event.id, type=event.type, body=event.to_bytes())])
        with anyio.fail_after(60):
            while not heard:
                await anyio.sleep(0.02)
        assert (await running.get(f"/v1/certificates/{expiring.fingerprint}")).json()["urgency"] == "critical"
        tasks.cancel_scope.cancel()


async def test_a_threshold_that_is_passed_while_we_run_is_told(around: Surroundings, issue: Issue) -> None:
    ahead = [timedelta()]
    around = replace(around, clock=lambda: utc_now() + ahead[0])
    healthy = issue("shop.test", since=1, ends_in=89, at=NOW)
    event = found(healthy, place(), NOW)
    from shared.bus import Message

    async with started(around) as running, anyio.create_task_group() as tasks:
        await around.bus.declare(running.service.queues)
        tasks.start_soon(running.service.work)
        await around.bus.publish([Message(id=event.id, type=event.type, body=event.to_bytes())])

        async def urgency() -> Any:
            answer = await running.get(f"/v1/certificates/{healthy.fingerprint}")
            return answer.json().get("urgency", "unknown")

        with anyio.fail_after(60):
            while await urgency() is not None:
                await anyio.sleep(0.02)
            ahead[0] = 70 * DAY
            while await urgency() != "warning":
                await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()


async def test_the_service_has_the_name_that_its_queue_and_settings_go_by(running: Running) -> None:
    assert running.service.name == NAME
    assert [queue.name for queue in running.service.queues] == ["inventory.events"]


async def test_holdings_are_shown_with_what_is_wrong(
    running: Running, database: Database, bus: SqliteBus, issue: Issue
) -> None:
    held = Held(format="pem", in_use=False, key=HeldKey(path="/k", fingerprint="1" * 64, is_exposed=True))
    told = [stored(issue("shop.test", at=NOW), host, NOW, held=held) for host in ("a", "b", "c")]
    await Ledger(database, bus, now=NOW).hear(*told)
    first = (await running.get("/v1/holdings", flaw="key-shared", limit=2)).json()
    rest = (await running.get("/v1/holdings", flaw="key-shared", limit=2, cursor=first["next_cursor"])).json()
    found = {each["place"]["address"]: each for each in [*first["items"], *rest["items"]]}
    assert {host: each["key_shared_with"] for host, each in found.items()} == {
        "a": ["b", "c"],
        "b": ["a", "c"],
        "c": ["a", "b"],
    }
    assert found["a"]["flaws"] == ["key-exposed", "key-shared", "unused"]
    assert found["a"]["held"]["key"]["path"] == "/k"
    assert (await running.get("/v1/holdings", address="b")).json()["items"] == [found["b"]]
    problem(await running.get("/v1/holdings", flaw="rust"), 422)
