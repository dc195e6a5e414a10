import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.provisioner.connectors.renewal import KeyRelease, purpose
from services.renewal.actions.challenges import Challenges, TlsChallenges
from services.renewal.service import NAME, SCHEMA, SETTINGS, build
from shared.access import Principal
from shared.clock import utc_now
from shared.events import Event
from shared.ids import new_id
from shared.sealing import open_with
from shared.service import Service
from shared.x509 import names
from tests.builders import ISSUER, SIGNING_KEY, bearer, surroundings
from tests.renewal.test_tls_alpn01 import handshake, until_it_listens
from tests.renewal.workshop import Workshop, expiring
from tests.servers.processes import free_port

OPERATOR, VIEWER, AUDITOR = bearer("operator"), bearer("viewer"), bearer("auditor")
PROFILE = {
    "name": "web",
    "authority": "house-ca",
    "key_type": "ecdsa-p256",
    "lifetime": "P90D",
    "allowed_names": ["*.example.test"],
}


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
async def service(tmp_path: Path, port: int) -> AsyncIterator[Service]:
    """The built service."""
    around = surroundings(tmp_path, environ={"EVERLEAF_RENEWAL_HTTP01_LISTEN": f"127.0.0.1:{port}"})
    database = around.open_database(NAME, around.settings.load(SETTINGS, section=NAME))
    await SCHEMA.upgrade(database)
    await database.close()
    async with build(around) as built:
        await around.bus.declare(built.queues)
        yield built
    await around.bus.close()


@pytest.fixture
async def api(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Its API, asked by an operator."""
    transport = httpx.ASGITransport(service.api)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=OPERATOR) as client:
        yield client


@pytest.fixture
async def at_work(service: Service, api: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """The API of a service whose workers run, with an authority and a profile."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.work)
        await trust(api)
        yield api
        tasks.cancel_scope.cancel()


async def trust(api: httpx.AsyncClient) -> dict[str, Any]:
    made = await api.post("/v1/authorities", json={"name": "house-ca", "kind": "builtin"})
    assert made.status_code == 201
    assert (await api.post("/v1/profiles", json=PROFILE)).status_code == 201
    return dict(made.json())


async def become(api: httpx.AsyncClient, path: str, state: str) -> dict[str, Any]:
    with anyio.fail_after(60):
        while True:
            shown: dict[str, Any] = (await api.get(path)).json()
            if shown["state"] == state:
                return shown
            await anyio.sleep(0.05)


def acme(**given: Any) -> dict[str, Any]:
    return {
        "name": "acme",
        "kind": "acme",
        "options": {"directory_url": "https://acme.example.test/dir", **given.pop("options", {})},
        **given,
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/authorities"),
        ("GET", "/v1/profiles"),
        ("PUT", "/v1/enrolments/x"),
        ("GET", "/v1/orders"),
        ("POST", "/v1/orders/x/key-releases"),
        ("GET", "/v1/key-releases"),
    ],
)
async def test_without_a_token_nothing_is_shown(api: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await api.request(method, path, json={}, headers={"Authorization": ""})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_viewer_may_not_write_and_nobody_takes_keys_by_role(api: httpx.AsyncClient) -> None:
    body = {"name": "x", "kind": "builtin"}
    assert (await api.post("/v1/authorities", json=body, headers=VIEWER)).status_code == 403
    assert (await api.get("/v1/authorities", headers=VIEWER)).status_code == 200
    for who in (OPERATOR, bearer("admin")):
        answer = await api.post("/v1/orders/x/key-releases", json={"deployment_id": "d"}, headers=who)
        assert answer.status_code == 403
    assert (await api.get("/v1/key-releases")).status_code == 403
    assert (await api.get("/v1/key-releases", headers=AUDITOR)).status_code == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", 400),
        (b'{"name": "x", "kind": "builtin", "colour": "red"}', 422),
        (b'{"name": "x", "kind": "unheard"}', 422),
        (b'{"name": "x", "kind": "builtin", "options": {"colour": "red"}}', 422),
        (b'{"name": "x", "kind": "acme", "options": {"directory_url": "http://plain"}}', 422),
    ],
)
async def test_a_bad_authority_is_told_with_a_next_step(
    api: httpx.AsyncClient, body: bytes, code: int
) -> None:
    answer = await api.post("/v1/authorities", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == code
    assert answer.json()["next_step"]


@pytest.mark.parametrize(
    "given",
    [
        {"options": {"ca_pem": "no pem"}},
        {"options": {"external_account": {"key_id": "k"}}},
        {"secrets": {"hmac": "sEcReT"}},
        {"secrets": {"dns_secret": "sEcReT"}},
        {
            "options": {"dns": {"server": "ns", "zone": "example.test", "key_name": "k"}},
            "secrets": {"dns_secret": "sEcReT no base64!"},
        },
        {"options": {"external_account": {"key_id": "k"}}, "secrets": {"hmac": "sEcReT!!"}},
        {"secrets": {"unheard": "sEcReT"}},
    ],
)
async def test_options_and_secrets_that_do_not_fit_are_refused_without_showing_them(
    api: httpx.AsyncClient, given: dict[str, Any]
) -> None:
    answer = await api.post("/v1/authorities", json=acme(**given))
    assert answer.status_code == 422
    assert "sEcReT" not in answer.text


async def test_secrets_are_never_shown(api: httpx.AsyncClient, tmp_path: Path) -> None:
    given = acme(options={"external_account": {"key_id": "k"}}, secrets={"hmac": "c0VjUmVU"})
    made = await api.post("/v1/authorities", json=given)
    assert made.status_code == 201
    shown = [made, await api.get("/v1/authorities"), await api.get(f"/v1/authorities/{made.json()['id']}")]
    assert not any("c0VjUmVU" in answer.text or '"private":' in answer.text for answer in shown)
    assert not any(b"c0VjUmVU" in path.read_bytes() for path in tmp_path.rglob("*.db*"))
    assert (await api.get(f"/v1/authorities/{made.json()['id']}/roots")).status_code == 404


async def test_new_secrets_take_the_place_of_all_that_were_there(
    api: httpx.AsyncClient, tmp_path: Path
) -> None:
    url = {"url": "https://vault.example.test", "role": "web"}
    body = {"name": "vault", "kind": "vault", "options": url, "secrets": {"token": "hvs.FIRST"}}
    made = await api.post("/v1/authorities", json=body)
    path = f"/v1/authorities/{made.json()['id']}/secrets"
    renewed = await api.put(path, json={"secrets": {"role_id": "r", "secret_id": "sEcOnD"}})
    assert (renewed.status_code, renewed.json()) == (200, made.json())
    assert not any(b"sEcOnD" in each.read_bytes() for each in tmp_path.rglob("*.db*"))
    refused = await api.put(path, json={"secrets": {"token": "tHiRd", "role_id": "r"}})
    assert refused.status_code == 422
    assert "tHiRd" not in refused.text


async def test_names_are_taken_once(api: httpx.AsyncClient) -> None:
    await trust(api)
    answer = await api.post("/v1/authorities", json={"name": "house-ca", "kind": "builtin"})
    assert answer.status_code == 409
    assert (await api.post("/v1/profiles", json=PROFILE)).status_code == 409


@pytest.mark.parametrize(
    "given",
    [
        {"authority": "unheard"},
        {"allowed_names": []},
        {"allowed_names": ["not a name"]},
        {"challenge": "http-01"},
        {"lifetime": "P20Y"},
        {"lifetime": "soon"},
        {"key_type": "rsa-512"},
    ],
)
async def test_a_bad_profile_is_refused(api: httpx.AsyncClient, given: dict[str, Any]) -> None:
    await trust(api)
    answer = await api.post("/v1/profiles", json={**PROFILE, "name": "other", **given})
    assert answer.status_code == 422
    assert answer.json()["next_step"]


async def test_a_profile_needs_a_challenge_that_can_be_shown(api: httpx.AsyncClient) -> None:
    assert (await api.post("/v1/authorities", json=acme())).status_code == 201
    profile = {**PROFILE, "authority": "acme"}
    assert (await api.post("/v1/profiles", json=profile)).status_code == 422
    assert (await api.post("/v1/profiles", json={**profile, "challenge": "dns-01"})).status_code == 422
    made = await api.post("/v1/profiles", json={**profile, "challenge": "http-01"})
    assert made.status_code == 201
    assert made.json()["lifetime"] == "P90D"
    assert [each["longest"] for each in made.json()["exceeds"]] == ["P47D"]


async def test_the_root_verifies_what_is_issued(at_work: httpx.AsyncClient) -> None:
    [authority] = (await at_work.get("/v1/authorities")).json()["items"]
    made = await at_work.post("/v1/orders", json={"names": ["a.example.test"], "profile": "web"})
    assert made.status_code == 202
    order = await become(at_work, f"/v1/orders/{made.json()['id']}", "renewed")
    steps = [step["step"] for step in order["steps"]]
    assert [step for step in steps if not step.startswith("check ")] == ["key", "renewed"]
    roots = await at_work.get(f"/v1/authorities/{authority['id']}/roots")
    assert roots.headers["content-type"].startswith("application/pem-certificate-chain")
    [root] = x509.load_pem_x509_certificates(roots.content)
    leaf, issuer = (x509.load_der_x509_certificate(base64.b64decode(text)) for text in order["chain"])
    leaf.verify_directly_issued_by(issuer)
    issuer.verify_directly_issued_by(root)


async def test_an_order_asked_for_twice_with_one_key_is_one(api: httpx.AsyncClient) -> None:
    await trust(api)
    body = {"names": ["a.example.test"], "profile": "web"}
    answers = [await api.post("/v1/orders", json=body, headers={"Idempotency-Key": "one"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert len((await api.get("/v1/orders")).json()["items"]) == 1


async def test_an_order_for_a_name_that_may_not_be_names_it(api: httpx.AsyncClient) -> None:
    await trust(api)
    for wrong in (["a.example.test", "evil.test"], ["*"], []):
        answer = await api.post("/v1/orders", json={"names": wrong, "profile": "web"})
        assert answer.status_code == 422
    answer = await api.post("/v1/orders", json={"names": ["evil.test"], "profile": "web"})
    assert "evil.test" in answer.json()["detail"]
    answer = await api.post("/v1/orders", json={"names": ["a.example.test"], "profile": "unheard"})
    assert answer.status_code == 422


async def test_orders_are_listed_page_by_page_and_by_lineage_and_state(api: httpx.AsyncClient) -> None:
    await trust(api)
    for lineage in ("one", "two", "three"):
        body = {"names": ["a.example.test"], "profile": "web", "lineage_id": lineage}
        assert (await api.post("/v1/orders", json=body)).status_code == 202
    page = (await api.get("/v1/orders", params={"limit": 2})).json()
    rest = (await api.get("/v1/orders", params={"limit": 2, "cursor": page["next_cursor"]})).json()
    assert [item["lineage_id"] for item in page["items"] + rest["items"]] == ["three", "two", "one"]
    found = (await api.get("/v1/orders", params={"lineage_id": "two", "state": "pending"})).json()
    assert [item["lineage_id"] for item in found["items"]] == ["two"]
    assert (await api.get("/v1/orders", params={"state": "renewed"})).json()["items"] == []
    assert (await api.get("/v1/orders", params={"state": "unheard"})).status_code == 422
    assert (await api.get("/v1/orders/unheard")).status_code == 404
    assert (await api.post("/v1/orders/unheard/retry")).status_code == 404


async def test_an_enrolled_lineage_is_renewed_by_an_event_and_enrolments_come_and_go(
    at_work: httpx.AsyncClient, service: Service
) -> None:
    path = "/v1/enrolments/lineage"
    assert (await at_work.get(path)).status_code == 404
    enrolled = await at_work.put(path, json={"profile": "web"})
    assert (enrolled.status_code, enrolled.json()["profile"]) == (200, "web")
    event = Event.of(expiring(utc_now()), source="inventory", now=utc_now())
    async with service.database.transaction() as tx:
        tx.emit(event.data, now=utc_now())
    with anyio.fail_after(60):
        while not (items := (await at_work.get("/v1/orders", params={"state": "renewed"})).json()["items"]):
            await anyio.sleep(0.05)
    assert items[0]["names"] == ["shop.example.test"]
    assert [item["lineage_id"] for item in (await at_work.get("/v1/enrolments")).json()["items"]] == [
        "lineage"
    ]
    assert (await at_work.delete(path)).status_code == 204
    assert (await at_work.delete(path)).status_code == 404


async def test_the_provisioner_gets_a_key_that_opens_for_it(at_work: httpx.AsyncClient) -> None:
    made = await at_work.post("/v1/orders", json={"names": ["a.example.test"], "profile": "web"})
    order = await become(at_work, f"/v1/orders/{made.json()['id']}", "renewed")
    key = X25519PrivateKey.generate()
    principal = Principal(
        id="provisioner",
        name="provisioner",
        permissions=frozenset({"keys:release"}),
        sealing_key=key.public_key().public_bytes_raw(),
    )
    token = SIGNING_KEY.token(
        principal, issuer=ISSUER, token_id=new_id(), now=utc_now(), lifetime=timedelta(minutes=1)
    )
    answer = await at_work.post(
        f"/v1/orders/{order['id']}/key-releases",
        json={"deployment_id": "d1"},
        headers={"Authorization": f"Bearer {token}"},
    )
    sealed = KeyRelease.model_validate_json(answer.content).sealed_key
    opened = open_with(key.private_bytes_raw(), sealed, purpose=purpose(order["id"], deployment_id="d1"))
    assert load_pem_private_key(opened, None)
    [record] = (await at_work.get("/v1/key-releases", headers=AUDITOR)).json()["items"]
    assert (record["principal"], record["deployment_id"]) == ("provisioner", "d1")


async def test_the_listener_answers_for_known_tokens_alone(
    at_work: httpx.AsyncClient, service: Service, port: int
) -> None:
    await Challenges(service.database, clock=utc_now).put("token", "token.thumbprint")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        path = "/.well-known/acme-challenge/"
        assert (await client.get(f"{path}token")).text == "token.thumbprint"
        for other in (f"{path}other", "/", f"{path}../token", f"{path}token/x"):
            assert (await client.get(other)).status_code == 404
        assert (await client.post(f"{path}token")).status_code == 404
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(b"\x16\x03\x01" + b"x" * 9000)
        assert (await stream.receive()).startswith(b"HTTP/1.1 404")


async def test_the_listener_of_tls_alpn_01_shows_what_is_in_the_database(tmp_path: Path) -> None:
    port = free_port()
    around = surroundings(tmp_path, environ={"EVERLEAF_RENEWAL_TLS_ALPN01_LISTEN": f"127.0.0.1:{port}"})
    database = around.open_database(NAME, around.settings.load(SETTINGS, section=NAME))
    await SCHEMA.upgrade(database)
    await TlsChallenges(database, clock=utc_now).put("a.example.test", "token.thumbprint")
    await database.close()
    async with build(around) as built, anyio.create_task_group() as tasks:
        await around.bus.declare(built.queues)
        tasks.start_soon(built.work)
        await until_it_listens(port)
        shown = await anyio.to_thread.run_sync(handshake, port, "a.example.test", "acme-tls/1")
        assert names(shown) == ("a.example.test",)
        tasks.cancel_scope.cancel()
    await around.bus.close()


async def test_only_who_may_write_changes_the_key_of_an_account_and_only_where_there_is_one(
    api: httpx.AsyncClient,
) -> None:
    path = f"/v1/authorities/{(await trust(api))['id']}/key-rollover"
    assert (await api.post(path, headers=VIEWER)).status_code == 403
    answer = await api.post(path)
    assert answer.status_code == 422
    assert "Only an authority of the kind `acme`" in answer.json()["next_step"]
    assert (await api.post("/v1/authorities/none/key-rollover")).status_code == 404


async def test_tls_alpn_01_without_its_listener_and_dns_01_without_a_zone_are_refused(
    api: httpx.AsyncClient,
) -> None:
    assert (await api.post("/v1/authorities", json=acme())).status_code == 201
    for challenge, word in (("tls-alpn-01", "EVERLEAF_RENEWAL_TLS_ALPN01_LISTEN"), ("dns-01", "options.dns")):
        answer = await api.post("/v1/profiles", json={**PROFILE, "authority": "acme", "challenge": challenge})
        assert answer.status_code == 422
        assert word in answer.json()["next_step"]


async def test_a_running_service_deletes_old_keys(tmp_path: Path) -> None:
    around = surroundings(tmp_path, environ={"EVERLEAF_RENEWAL_KEY_RETENTION": "0"})
    shop = await Workshop(around.open_database(NAME, around.settings.load(SETTINGS, section=NAME))).set_up(
        kind="builtin"
    )
    for _ in range(2):
        await shop.order()
        await shop.work_off()
    new, old = await shop.all()
    await shop.replaced(new.fingerprint or "", old=old.fingerprint or "")
    async with build(around) as service, anyio.create_task_group() as tasks:
        await around.bus.declare(service.queues)
        tasks.start_soon(service.work)
        with anyio.fail_after(60):
            while (await shop.all())[1].private_key is not None:
                await anyio.sleep(0.02)
        tasks.cancel_scope.cancel()
    assert (await shop.all())[0].private_key is not None
    await shop.database.close()
    await around.bus.close()


async def test_an_order_is_approved_over_http_by_somebody_else(at_work: httpx.AsyncClient) -> None:
    guarded = {**PROFILE, "name": "guarded", "approvals_needed": 1}
    assert (await at_work.post("/v1/profiles", json=guarded)).status_code == 201
    made = await at_work.post("/v1/orders", json={"names": ["a.example.test"], "profile": "guarded"})
    path = f"/v1/orders/{made.json()['id']}"
    await become(at_work, path, "awaiting_approval")
    ann, owner = bearer("approver", name="ann"), bearer("admin")
    assert (await at_work.get("/v1/approvals", headers=owner)).json()["items"] == []
    [asked] = (await at_work.get("/v1/approvals", headers=ann)).json()["items"]
    assert asked["document"]["names"] == ["a.example.test"]
    word = {"verdict": "grant", "digest": asked["digest"], "reason": "CHG0042"}
    where = f"/v1/approvals/{asked['id']}"
    for who, status in ((VIEWER, 403), (OPERATOR, 403), (owner, 403)):
        assert (await at_work.post(f"{where}/decisions", json=word, headers=who)).status_code == status
    wrong = await at_work.post(f"{where}/decisions", json={**word, "digest": "0" * 64}, headers=ann)
    assert (wrong.status_code, wrong.json()["title"]) == (409, "This contradicts what is already there")
    assert (
        await at_work.post(f"{where}/override", json={"reason": "Now!"}, headers=owner)
    ).status_code == 403
    granted = await at_work.post(f"{where}/decisions", json=word, headers=ann)
    assert (granted.status_code, granted.json()["state"]) == (201, "granted")
    assert [each["is_counted"] for each in granted.json()["decisions"]] == [False, False, True]
    await become(at_work, path, "renewed")


async def test_an_override_takes_a_permission_of_its_own(at_work: httpx.AsyncClient) -> None:
    guarded = {**PROFILE, "name": "guarded", "approvals_needed": 1}
    assert (await at_work.post("/v1/profiles", json=guarded)).status_code == 201
    made = await at_work.post("/v1/orders", json={"names": ["a.example.test"], "profile": "guarded"})
    path = f"/v1/orders/{made.json()['id']}"
    await become(at_work, path, "awaiting_approval")
    ann = bearer("approver", name="ann")
    [asked] = (await at_work.get("/v1/approvals", headers=ann)).json()["items"]
    singly = bearer("operator", permissions=frozenset({"approvals:override"}))
    body = {"reason": "The shop is down, INC0815."}
    done = await at_work.post(f"/v1/approvals/{asked['id']}/override", json=body, headers=singly)
    assert (done.status_code, done.json()["state"]) == (201, "overridden")
    await become(at_work, path, "renewed")
