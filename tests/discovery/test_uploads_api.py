"""What other systems send: certificates in stores and at endpoints, by whom it may be sent, and what becomes of it."""

import json
import ssl
from base64 import b64encode
from hashlib import sha256
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import Encoding

from shared.store import Database
from tests.builders import bearer
from tests.oddities import corpus
from tests.servers.tls import CertificateAuthority, Issued

UPLOADER = bearer(permissions=frozenset({"uploads:write"}), name="mainframe")
WATCHER = bearer(permissions=frozenset({"uploads:write", "sightings:write"}), name="mainframe")


def holding(issued: Issued, path: str, **more: Any) -> dict[str, Any]:
    return {
        "address": "mainframe-3",
        "path": path,
        "pem": issued.chain_pem.decode(),
        "format": "racf",
        **more,
    }


def endpoint(issued: Issued, **more: Any) -> dict[str, Any]:
    der = b64encode(issued.certificate.public_bytes(Encoding.DER)).decode()
    place = {"address": "192.0.2.7", "port": 443, "server_name": "shop.test"}
    return {**place, "der": [der], "observed_at": "2026-01-01T00:00:00Z", **more}


async def made(client: httpx.AsyncClient, *uploaders: str, name: str = "mainframe") -> str:
    settings = {"uploaders": list(uploaders)}
    answer = await client.post("/v1/sources", json={"name": name, "kind": "upload", "settings": settings})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def send(
    client: httpx.AsyncClient, source: str, headers: Any = UPLOADER, **body: Any
) -> httpx.Response:
    return await client.post(f"/v1/sources/{source}/uploads", json=body, headers=headers)


def states(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["state"] for item in answer.json()["items"]]


async def said(database: Database, kind: str) -> list[dict[str, Any]]:
    async with database.read() as session:
        rows = (await session.execute(sa.text("SELECT body FROM outbox"))).scalars().all()
    events = [json.loads(bytes(row)) for row in rows]
    return [event["data"] for event in events if event["type"] == kind]


async def test_what_is_sent_is_kept_and_told_as_a_place_of_its_system(
    client: httpx.AsyncClient, database: Database, lab_ca: CertificateAuthority
):
    source, issued = await made(client, "mainframe"), lab_ca.intermediate().issue("shop.test")
    use = {
        "product": "ihs",
        "file": "httpd.conf",
        "server_names": ["Shop.test"],
        "listeners": [{"port": 443}],
    }
    sent = holding(issued, "RACF/SHOP", uses=[use], addresses=["192.0.2.7", "not-an-address"])
    assert states(await send(client, source, holdings=[sent])) == ["new"]
    [found] = await said(database, "certificate.found")
    assert (found["place"]["kind"], found["place"]["address"], found["place"]["path"]) == (
        "store",
        "mainframe-3",
        "RACF/SHOP",
    )
    assert (found["fingerprint"], len(found["chain"])) == (issued.fingerprint, 2)
    held = found["held"]
    assert (held["format"], held["in_use"], held["addresses"]) == ("racf", True, ["192.0.2.7"])
    assert held["uses"][0]["server_names"] == ["shop.test"]
    [kept] = (await client.get(f"/v1/sources/{source}/holdings")).json()["items"]
    assert (kept["path"], kept["fingerprint"]) == ("RACF/SHOP", issued.fingerprint)


async def test_sending_again_changes_nothing_and_a_renewed_certificate_is_seen(
    client: httpx.AsyncClient, lab_ca: CertificateAuthority
):
    source, issued = await made(client, "mainframe"), lab_ca.issue("a.test")
    first, renewed = holding(issued, "a"), holding(lab_ca.issue("a.test"), "a")
    elsewhere = first | {"address": "mainframe-4"}
    sending = [await send(client, source, holdings=[each]) for each in (first, first, renewed, elsewhere)]
    assert [states(answer) for answer in sending] == [["new"], ["known"], ["changed"], ["new"]]
    pages = [(await client.get(f"/v1/sources/{source}/holdings", params={"limit": 1})).json()]
    pages.append(
        (
            await client.get(f"/v1/sources/{source}/holdings", params={"cursor": pages[0]["next_cursor"]})
        ).json()
    )
    assert [item["address"] for page in pages for item in page["items"]] == ["mainframe-3", "mainframe-4"]


async def test_what_a_complete_snapshot_does_not_name_is_lost_after_some_of_them(
    client: httpx.AsyncClient, database: Database, lab_ca: CertificateAuthority
):
    source = await made(client, "mainframe")
    kept, gone = holding(lab_ca.issue("a.test"), "a"), holding(lab_ca.issue("b.test"), "b")
    await send(client, source, holdings=[kept], snapshot="0")
    await send(client, source, holdings=[gone], snapshot="0", is_last=True)
    for at in range(1, 3):
        await send(client, source, holdings=[kept], snapshot=str(at), is_last=True)
    await send(client, source, holdings=[kept])  # says nothing of the other
    assert await said(database, "place.lost") == []
    await send(client, source, holdings=[kept], snapshot="3", is_last=True)
    assert [lost["place"]["path"] for lost in await said(database, "place.lost")] == ["b"]


async def test_a_snapshot_that_was_never_complete_says_nothing_of_what_is_gone(
    client: httpx.AsyncClient, lab_ca: CertificateAuthority
):
    source, kept = await made(client, "mainframe"), holding(lab_ca.issue("a.test"), "a")
    await send(client, source, holdings=[kept])
    await send(client, source, snapshot="broken off")
    await send(client, source, holdings=[kept], snapshot="next", is_last=True)
    runs = (await client.get(f"/v1/sources/{source}/runs")).json()["items"]
    assert [run["state"] for run in runs] == ["finished", "superseded", "finished"]
    [item] = (await client.get(f"/v1/sources/{source}/holdings")).json()["items"]
    assert item["misses"] == 0


async def test_only_who_is_named_may_send_and_sees_nothing_else(
    client: httpx.AsyncClient, lab_ca: CertificateAuthority
):
    own, other = await made(client, "mainframe"), await made(client, "somebody", name="other")
    sent = holding(lab_ca.issue("a.test"), "a")
    assert (await send(client, own, holdings=[sent])).status_code == 200
    assert (await send(client, other, holdings=[sent])).status_code == 404
    assert (await send(client, own, bearer("viewer"), holdings=[sent])).status_code == 403
    assert (await client.get("/v1/sources", headers=UPLOADER)).status_code == 403
    assert (await send(client, other, bearer("operator"), holdings=[])).status_code == 200


async def test_nobody_speaks_for_what_another_source_tells_of(
    client: httpx.AsyncClient, database: Database, lab_ca: CertificateAuthority
):
    first, second = await made(client, "somebody"), await made(client, "mainframe", name="other")
    await send(client, first, bearer("operator"), holdings=[holding(lab_ca.issue("a.test"), "a")])
    answer = await send(client, second, holdings=[holding(lab_ca.issue("x.test"), "a")])
    assert (states(answer), answer.json()["items"][0]["reason"]) == (
        ["refused"],
        "Another source tells of this address and path.",
    )
    assert len(await said(database, "certificate.found")) == 1


async def test_speaking_for_an_endpoint_needs_a_permission_of_its_own(
    client: httpx.AsyncClient, database: Database, lab_ca: CertificateAuthority
):
    source, issued = await made(client, "mainframe"), lab_ca.issue("shop.test")
    assert (await send(client, source, endpoints=[endpoint(issued)])).status_code == 403
    answer = await send(client, source, WATCHER, endpoints=[endpoint(issued)])
    assert answer.json() == {"items": [], "endpoints": 1}
    [found] = await said(database, "certificate.found")
    assert (found["place"]["kind"], found["place"]["port"], found["place"]["server_name"]) == (
        "endpoint",
        443,
        "shop.test",
    )
    assert found["observed_at"] == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"pem": "no"}, "/body/holdings/0/pem"),
        ({"pem": None, "der": ["!"]}, "/body/holdings/0/der"),
        ({"pem": None, "der": ["aGVsbG8="]}, "/body/holdings/0/der"),
        ({"pem": None}, "/body/holdings/0"),
        ({"path": ""}, "/body/holdings/0/path"),
        ({"private_key": "x"}, "/body/holdings/0/private_key"),
    ],
)
async def test_what_is_wrong_with_an_upload_is_pointed_at_and_nothing_of_it_is_kept(
    client: httpx.AsyncClient, lab_ca: CertificateAuthority, changes: dict[str, Any], pointer: str
):
    source, sent = await made(client, "mainframe"), holding(lab_ca.issue("a.test"), "a")
    answer = await send(client, source, holdings=[sent | changes, sent])
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), answer.text
    assert (await client.get(f"/v1/sources/{source}/holdings")).json()["items"] == []


async def test_a_source_is_either_read_or_sent_to(client: httpx.AsyncClient, lab_ca: CertificateAuthority):
    source = await made(client, "mainframe")
    assert (await client.post(f"/v1/sources/{source}/runs")).status_code == 422
    assert (await client.post(f"/v1/sources/{source}/check")).json()["ok"] is False
    regular = {"name": "x", "kind": "upload", "settings": {}, "every": 3600}
    assert (await client.post("/v1/sources", json=regular)).status_code == 422
    assert (await send(client, source, is_last=True)).status_code == 422


async def test_certificates_nobody_should_have_made_are_taken_in_and_stop_nothing(
    client: httpx.AsyncClient, database: Database, lab_ca: CertificateAuthority
):
    source, good = await made(client, "mainframe"), lab_ca.issue("a.test")
    odd = {title: odd.bytes() for title, odd in corpus() if odd.bytes().startswith(b"\x30")}
    large = [title for title, der in odd.items() if len(der) > 100_000]
    small = [title for title in odd if title not in large]
    for titles in (small, *([title] for title in large)):
        sent = [
            holding(good, title)
            | {
                "pem": None,
                "der": [b64encode(odd[title]).decode()],
                "key": {"path": "k", "spki_sha256": "0" * 64},
            }
            for title in titles
        ]
        assert states(await send(client, source, holdings=[*sent, holding(good, "good")])) == [
            *["new"] * len(titles),
            "new" if titles is small else "known",
        ]
    told = {found["fingerprint"] for found in await said(database, "certificate.found")}
    assert told == {sha256(der).hexdigest() for der in odd.values()} | {good.fingerprint}


async def test_what_stands_in_pem_is_taken_in_also_where_no_parser_takes_it(
    client: httpx.AsyncClient, lab_ca: CertificateAuthority
):
    source, issued = await made(client, "mainframe"), lab_ca.issue("a.test")
    odd = next(odd.bytes() for title, odd in corpus() if title == "with bytes behind it")
    text = issued.certificate_pem.decode() + ssl.DER_cert_to_PEM_cert(odd)
    assert states(await send(client, source, holdings=[holding(issued, "a") | {"pem": text}])) == ["new"]
    broken = text.replace("MII", "M*I")
    refused = await send(client, source, holdings=[holding(issued, "a") | {"pem": broken}])
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/body/holdings/0/pem"
