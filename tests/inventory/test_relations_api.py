"""What belongs together, over HTTP: pages, cursors, days, and a bill of materials."""

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.inventory.actions.relations import Relations
from services.inventory.service import SCHEMA, build
from services.inventory.store import authorities
from shared.bus.sqlite import SqliteBus
from shared.events.discovery import Place
from shared.lint import Finding, Severity
from shared.store import Database
from tests.builders import bearer, surroundings
from tests.inventory.ledger import DAY, HOUR, NOON, Ledger, found, found_bytes, place
from tests.inventory.office import Office
from tests.oddities import corpus
from tests.servers.tls import CertificateAuthority, fingerprint


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One kind of database will do: the doors are the same."""
    return f"sqlite:///{tmp_path}/inventory.db"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url, source="inventory")
    await SCHEMA.upgrade(opened)
    yield opened
    await opened.close()


@pytest.fixture
async def client(tmp_path: Path, database_url: str, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    around = surroundings(tmp_path, environ={"EVERLEAF_INVENTORY_DATABASE_URL": database_url})
    async with build(around) as service:
        transport = httpx.ASGITransport(service.api, raise_app_exceptions=False)
        headers = bearer("viewer")
        async with httpx.AsyncClient(
            transport=transport, base_url="http://inventory", headers=headers
        ) as client:
            yield client


async def pages(client: httpx.AsyncClient, path: str, **query: Any) -> list[dict[str, Any]]:
    """Return all items, asked for one by one."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await client.get(path, params={"limit": 1, **query, **cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def test_every_list_can_be_paged_and_every_object_leads_on(
    client: httpx.AsyncClient, database: Database, bus: SqliteBus, lab_ca: CertificateAuthority
) -> None:
    issuing = [CertificateAuthority(f"CA {n}", parent=lab_ca, now=NOON + n * DAY) for n in range(3)]
    wild = [each.issue("*.shop.test", not_before=NOON - DAY, not_after=NOON + 30 * DAY) for each in issuing]
    twin = issuing[0].issue("*.shop.test", not_before=NOON - DAY, not_after=NOON + 30 * DAY)
    ledger = Ledger(database, bus)
    events = [
        found(each, place(2 * number + at), NOON)
        for number, each in enumerate([*wild, twin])
        for at in (1, 2)
    ]
    await ledger.hear(*events)
    await ledger.work()
    keys = await pages(client, "/v1/keys")
    assert [key["spread"]["addresses"] for key in keys] == [2, 2, 2, 2]
    key = (await client.get(f"/v1/keys/{keys[0]['fingerprint'].upper()}")).json()
    assert len(await pages(client, f"/v1/keys/{key['fingerprint']}/places")) == len(key["places"]) == 2
    shown = await pages(client, "/v1/certificates", key_fingerprint=key["fingerprint"])
    assert [each["id"] for each in shown] == [each["id"] for each in key["certificates"]]
    assert len(await pages(client, "/v1/wildcards")) == 4
    wildcard = (await client.get(f"/v1/wildcards/{twin.fingerprint}")).json()
    assert (wildcard["spread"]["addresses"], wildcard["served_names"]) == (2, ["shop.test"])
    [double] = await pages(client, "/v1/duplicates")
    assert {each["fingerprint"] for each in double["certificates"]} == {wild[0].fingerprint, twin.fingerprint}
    assert len(await pages(client, "/v1/devices")) == 8
    device = (await client.get("/v1/devices/192.0.2.1")).json()
    assert [each["fingerprint"] for each in device["found"]] == [wild[0].fingerprint]
    issuers = await pages(client, "/v1/issuers")
    assert [each["subject"] for each in issuers] == ["CN=CA 0", "CN=CA 1", "CN=CA 2"]
    first = f"/v1/issuers/{fingerprint(issuing[0].certificate)}"
    assert (await client.get(first)).json()["leaves"] == {"known": 2, "outliving": 0}
    assert len(await pages(client, f"{first}/certificates")) == 2
    assert len(await pages(client, f"/v1/certificates/{twin.fingerprint}/history", on="2026-03-03")) == 2
    assert await pages(client, f"/v1/certificates/{twin.fingerprint}/history", on="2026-03-02") == []
    odd = next(odd.bytes() for title, odd in corpus() if title == "with serial zero")
    await ledger.hear(found_bytes(sha256(odd).hexdigest(), [odd], place(50), NOON))
    assert (await client.get("/v1/oddities")).json() == {"certificates": {"serial-not-positive": 1}}
    [kept] = await pages(client, "/v1/certificates", oddity="serial-not-positive")
    shown_odd = (await client.get(f"/v1/certificates/{kept['fingerprint']}")).json()
    assert shown_odd["oddities"] == [{"code": "serial-not-positive", "detail": "Its serial number is 0."}]
    history = (
        await client.get("/v1/places/history", params={"key": place(1).key, "on": "2026-03-03"})
    ).json()
    assert [each["fingerprint"] for each in history["servings"]] == [wild[0].fingerprint]


async def test_issuers_are_found_by_what_they_break_and_by_when_they_end(
    client: httpx.AsyncClient, database: Database, bus: SqliteBus, lab_ca: CertificateAuthority
) -> None:
    above = [CertificateAuthority(f"CA {n}", parent=lab_ca, now=NOON + n * DAY) for n in range(3)]
    leaves = [
        each.issue(f"{number}.test", not_before=NOON - DAY, not_after=NOON + 30 * DAY)
        for number, each in enumerate(above)
    ]
    ledger = Ledger(database, bus)
    await Office(ledger).group("own", "name = 1.test")
    await ledger.hear(*(found(each, place(number), NOON) for number, each in enumerate(leaves)))
    await ledger.work()
    absent = Finding(rule="pkix.key_usage_absent", severity=Severity.WARNING, evidence="nothing is there")
    serial = Finding(rule="pkix.serial_number", severity=Severity.ERROR, evidence="serialNumber: -1")
    async with database.transaction() as tx:
        said = {
            fingerprint(above[0].certificate): [absent, serial],
            fingerprint(above[1].certificate): [absent],
        }
        await authorities.keep_findings(tx, said, linter="pkilint", now=NOON)

    async def listed(**asked: Any) -> list[str]:
        return [
            each["subject"].removeprefix("CN=CA ") for each in await pages(client, "/v1/issuers", **asked)
        ]

    assert await listed(rule="pkix.key_usage_absent") == ["0", "1"]
    assert await listed(severity="error") == ["0"]
    assert await listed(rule="pkix.key_usage_absent", severity="error") == []
    first_end = above[0].certificate.not_valid_after_utc
    assert await listed(severity="warning", expires_before=(first_end + HOUR).isoformat()) == ["0"]
    shown = [each["broken_rules"] for each in await pages(client, "/v1/issuers")]
    assert shown == [{"warning": 1, "error": 1}, {"warning": 1}, {}]
    counted = (await client.get("/v1/issuer-findings")).json()["rules"]
    assert [(each["rule"], each["severity"], each["issuers"]) for each in counted] == [
        ("pkix.key_usage_absent", "warning", 2),
        ("pkix.serial_number", "error", 1),
    ]
    own = await Relations(database).issuer_rules(scope=frozenset({"own"}))
    assert [(each.rule, each.issuers) for each in own] == [("pkix.key_usage_absent", 1)]
    for query, names in (
        ("issuer.finding = pkix.serial_number", ["0.test"]),
        ("issuer.finding.severity = warning", ["0.test", "1.test"]),
        ("not issuer.finding", ["2.test"]),
    ):
        found_by = await pages(client, "/v1/certificates", query=query)
        assert sorted(each["names"][0] for each in found_by) == names, query


async def test_a_certificate_is_shown_with_its_owner_and_groups_wherever_it_is_shown(
    client: httpx.AsyncClient, database: Database, bus: SqliteBus, lab_ca: CertificateAuthority
) -> None:
    ledger = Ledger(database, bus)
    office = Office(ledger)
    await office.team("web")
    await office.group("shop", "name under shop.test")
    await office.rule("name under shop.test", "web")
    authority = CertificateAuthority("CA", parent=lab_ca, now=NOON)
    wild, twin = (
        authority.issue("*.shop.test", not_before=NOON - DAY, not_after=NOON + 30 * DAY) for _ in range(2)
    )
    await ledger.hear(
        *(found(each, place(2 * n + at), NOON) for n, each in enumerate((wild, twin)) for at in (1, 2))
    )
    await ledger.work()
    listed = {each["fingerprint"]: each for each in await pages(client, "/v1/certificates")}
    said = listed[wild.fingerprint]
    assert (said["owner"]["id"], said["groups"]) == ("web", ["shop"])

    async def one(path: str) -> Any:
        return (await client.get(f"/v1/{path}")).json()

    issuer = f"/v1/issuers/{fingerprint(authority.certificate)}/certificates"
    shown = {
        "key": (await one(f"keys/{said['key_fingerprint']}"))["certificates"],
        "wildcard": [(await one(f"wildcards/{wild.fingerprint}"))["certificate"]],
        "wildcards": [each["certificate"] for each in await pages(client, "/v1/wildcards")],
        "duplicates": [each for row in await pages(client, "/v1/duplicates") for each in row["certificates"]],
        "device": (await one("devices/192.0.2.1"))["found_certificates"],
        "issuer": await pages(client, issuer),
        "lineage": (await one(f"lineages/{said['lineage_id']}"))["certificates"],
    }
    for where, certificates in shown.items():
        assert certificates, where
        assert certificates == [listed[each["fingerprint"]] for each in certificates], where


async def test_bad_cursors_and_questions_are_problems_that_say_what_to_do(client: httpx.AsyncClient) -> None:
    cursor = "WyJ4IiwgIngiXQ=="  # ["x", "x"]
    one = "WyJ4Il0="
    for path in ("/v1/keys", "/v1/wildcards", "/v1/duplicates", "/v1/issuers", "/v1/devices"):
        answer = await client.get(path, params={"cursor": cursor if path == "/v1/devices" else one})
        assert (answer.status_code, bool(answer.json()["next_step"])) == (422, True), path
    assert (await client.get("/v1/issuers", params={"cursor": cursor})).status_code == 422
    both = await client.get("/v1/places/history", params={"key": "x", "at": "2026-03-03", "on": "2026-03-03"})
    assert both.json()["errors"] == [{"pointer": "/query/on", "message": "given beside `at`"}]
    for path in ("keys", "wildcards", "devices", "issuers"):
        assert (await client.get(f"/v1/{path}/{'0' * 64}")).status_code == 404


async def test_a_bill_of_materials_is_sent_as_cyclonedx_and_a_bad_query_is_told_with_its_column(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/v1/cbom", params={"spec": "1.6"})
    assert answer.headers["content-type"].startswith("application/vnd.cyclonedx+json; version=1.6")
    assert answer.headers["content-disposition"] == 'attachment; filename="certificates.cdx.json"'
    assert answer.json()["specVersion"] == "1.6"
    refused = await client.get("/v1/cbom", params={"query": "expires <"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["column"]


async def test_a_store_may_have_slashes_in_its_address(
    client: httpx.AsyncClient, database: Database, bus: SqliteBus, lab_ca: CertificateAuthority
) -> None:
    issued = lab_ca.issue("a.test", not_before=NOON - DAY, not_after=NOON + DAY)
    where = Place(kind="store", address="aws:123/eu-west-1", path="acm/1")
    await Ledger(database, bus).hear(found(issued, where, NOON))
    shown = await client.get("/v1/devices/aws:123/eu-west-1")
    assert [each["path"] for each in shown.json()["found"]] == ["acm/1"]
