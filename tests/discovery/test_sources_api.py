"""Sources over HTTP: a real host with a real nginx is logged into, read, and what it holds is told."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import Encoding

from services.discovery.connectors.registry import KINDS
from shared.service import Service
from shared.store import Database
from shared.store.outbox import Relay
from tests.builders import bearer
from tests.servers.nginx import Nginx, StartNginx
from tests.servers.processes import free_port
from tests.servers.ssh import Sshd
from tests.servers.tls import CertificateAuthority


def body(sshd: Sshd, nginx: Nginx, **changes: Any) -> dict[str, Any]:
    return {
        "name": "web-1",
        "kind": "linux-ssh",
        "settings": {
            "host": sshd.host,
            "port": sshd.port,
            "username": sshd.username,
            "host_key": sshd.host_key,
            "folders": [str(nginx.directory)],
            "configurations": {"nginx": str(nginx.directory / "nginx.conf")},
        }
        | changes.pop("settings", {}),
        "credential": {"private_key": sshd.client_key},
        **changes,
    }


@asynccontextmanager
async def working(service: Service) -> AsyncIterator[None]:
    # Without the relay: what was said stays in the outbox, to be read by the tests.
    jobs = [job for job in service.jobs if not isinstance(getattr(job, "__self__", None), Relay)]
    async with anyio.create_task_group() as tasks:
        for job in jobs:
            tasks.start_soon(job)
        yield
        tasks.cancel_scope.cancel()


async def run_of(client: httpx.AsyncClient, service: Service, source: str, *, until: str = "finished") -> Any:
    async with working(service):
        assert (await client.post(f"/v1/sources/{source}/runs")).status_code == 202
        with anyio.fail_after(30):
            while True:
                run = (await client.get(f"/v1/sources/{source}/runs")).json()["items"][0]
                if run["state"] == until or run["error"]:
                    return run
                await anyio.sleep(0.05)


async def made(client: httpx.AsyncClient, asked: dict[str, Any]) -> str:
    answer = await client.post("/v1/sources", json=asked)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def said(database: Database) -> list[dict[str, Any]]:
    async with database.read() as session:
        rows = (await session.execute(sa.text("SELECT body FROM outbox"))).scalars().all()
    return [json.loads(bytes(row)) for row in rows]


async def test_a_host_is_read_and_each_certificate_is_told_with_what_uses_it(
    client: httpx.AsyncClient,
    service: Service,
    sshd: Sshd,
    start_nginx: StartNginx,
    lab_ca: CertificateAuthority,
):
    nginx = start_nginx("a.test", "b.test")
    unused, _ = lab_ca.issue("unused.test").write(nginx.directory / "old")
    nginx.sites[1].key.chmod(0o644)
    source = await made(client, body(sshd, nginx))
    run = await run_of(client, service, source)
    assert (run["state"], run["holdings"], run["gaps"]) == ("finished", 3, [])
    held = {one["path"]: one for one in (await client.get(f"/v1/sources/{source}/holdings")).json()["items"]}
    first, second = (held[str(site.certificate)] for site in nginx.sites)
    assert first["fingerprint"] == nginx.sites[0].issued.fingerprint
    [use] = first["details"]["uses"]
    assert (use["product"], use["server_names"], use["listeners"][0]["port"]) == (
        "nginx",
        ["a.test"],
        nginx.port,
    )
    assert (first["details"]["key"]["path"], first["details"]["key"]["is_match"]) == (
        str(nginx.sites[0].key),
        True,
    )
    assert (first["details"]["key"]["is_exposed"], second["details"]["key"]["is_exposed"]) == (False, True)
    assert (held[str(unused)]["details"]["in_use"], first["details"]["in_use"]) == (False, True)
    assert "PRIVATE KEY" not in json.dumps(held)


async def test_the_certificates_of_a_source_are_told_on_the_bus_as_places_of_its_host(
    client: httpx.AsyncClient, service: Service, database: Database, sshd: Sshd, start_nginx: StartNginx
):
    nginx = start_nginx("a.test")
    source = await made(client, body(sshd, nginx))
    await run_of(client, service, source)
    events = [event for event in await said(database) if event["type"] == "certificate.found"]
    assert [(event["data"]["fingerprint"], event["data"]["place"]["path"]) for event in events] == [
        (nginx.sites[0].issued.fingerprint, str(nginx.sites[0].certificate))
    ]
    held = events[0]["data"]["held"]
    assert (held["format"], held["in_use"], held["key"]["is_match"]) == ("pem", True, True)
    assert [(use["product"], use["server_names"]) for use in held["uses"]] == [("nginx", ["a.test"])]
    assert (events[0]["data"]["place"]["kind"], events[0]["data"]["place"]["address"]) == ("store", sshd.host)
    assert "PRIVATE KEY" not in json.dumps(events)


async def test_a_scan_asks_for_the_names_that_a_configuration_says(
    client: httpx.AsyncClient, service: Service, sshd: Sshd, start_nginx: StartNginx
):
    nginx = start_nginx("a.test", "b.test", "*.c.test")
    await run_of(client, service, await made(client, body(sshd, nginx)))
    asked = {"targets": [f"127.0.0.1:{nginx.port}"]}
    async with working(service):
        scan = (await client.post("/v1/scans", json=asked)).json()["id"]
        with anyio.fail_after(30):
            while (await client.get(f"/v1/scans/{scan}")).json()["state"] != "finished":
                await anyio.sleep(0.05)
    results = (await client.get(f"/v1/scans/{scan}/results")).json()["items"]
    seen = {each["fingerprint"] for each in results}
    assert {site.issued.fingerprint for site in nginx.sites[:2]} <= seen


async def test_a_refused_login_is_a_failed_run_that_says_what_to_do_and_is_not_repeated(
    client: httpx.AsyncClient,
    service: Service,
    database: Database,
    sshd: Sshd,
    start_nginx: StartNginx,
    tmp_path: Path,
):
    nginx = start_nginx("a.test")
    other = tmp_path / "other"
    other.mkdir()
    source = await made(client, body(sshd, nginx, credential={"private_key": Sshd(other).client_key}))
    run = await run_of(client, service, source)
    assert (run["state"], run["attempts"]) == ("failed", 1)
    assert "refused the login" in run["error"]
    assert "credential" in run["next_step"]
    renewed = await client.put(
        f"/v1/sources/{source}/credential", json={"credential": {"private_key": sshd.client_key}}
    )
    assert (renewed.status_code, renewed.json()["version"]) == (200, 2)
    assert (await run_of(client, service, source))["state"] == "finished"
    assert (await run_of(client, service, source))["state"] == "finished"
    every = await said(database)
    told = [event for event in every if event["type"].startswith("source.")]
    assert [event["type"] for event in told] == [
        "source.failed",
        "source.read",
        "source.recovered",
        "source.read",
    ]
    found = [event["data"]["scan_id"] for event in every if event["type"] == "certificate.found"]
    read = [event["data"] for event in told if event["type"] == "source.read"]
    assert list(dict.fromkeys(found)) == [each["run_id"] for each in read]
    assert [each["is_complete"] for each in read] == [True, True]
    assert (told[0]["data"]["name"], "refused the login" in told[0]["data"]["reason"]) == ("web-1", True)


async def test_a_host_with_another_key_is_not_logged_into(
    client: httpx.AsyncClient, service: Service, sshd: Sshd, start_nginx: StartNginx
):
    source = await made(client, body(sshd, start_nginx("a.test")))
    sshd.replace_host_key()
    run = await run_of(client, service, source)
    assert (run["state"], "another host key" in run["error"]) == ("failed", True)


async def test_a_host_that_does_not_answer_is_tried_again_later(
    client: httpx.AsyncClient, service: Service, sshd: Sshd, start_nginx: StartNginx
):
    source = await made(client, body(sshd, start_nginx("a.test"), settings={"port": free_port()}))
    run = await run_of(client, service, source)
    assert (run["state"], run["attempts"]) == ("running", 1)
    assert run["next_attempt_at"] > run["created_at"]
    assert (await client.post(f"/v1/sources/{source}/runs")).status_code == 409


async def test_a_file_that_is_named_and_not_there_is_a_gap(
    client: httpx.AsyncClient, service: Service, sshd: Sshd, start_nginx: StartNginx
):
    nginx = start_nginx("a.test", "b.test")
    nginx.sites[0].certificate.unlink()
    source = await made(client, body(sshd, nginx))
    run = await run_of(client, service, source)
    assert (run["holdings"], [gap["scope"] for gap in run["gaps"]]) == (1, [str(nginx.sites[0].certificate)])


async def test_a_certificate_that_is_gone_is_told_as_lost_at_its_third_miss(
    client: httpx.AsyncClient,
    service: Service,
    database: Database,
    sshd: Sshd,
    start_nginx: StartNginx,
    lab_ca: CertificateAuthority,
):
    nginx = start_nginx("a.test")
    unused, _ = lab_ca.issue("unused.test").write(nginx.directory / "old")
    source = await made(client, body(sshd, nginx))
    await run_of(client, service, source)
    unused.unlink()
    for misses in (1, 2):
        await run_of(client, service, source)
        held = (await client.get(f"/v1/sources/{source}/holdings")).json()["items"]
        assert {one["path"]: one["misses"] for one in held}[str(unused)] == misses
    assert [event for event in await said(database) if event["type"] == "place.lost"] == []
    await run_of(client, service, source)
    lost = [event["data"]["place"]["path"] for event in await said(database) if event["type"] == "place.lost"]
    assert lost == [str(unused)]


async def test_a_file_cannot_speak_for_the_host(
    client: httpx.AsyncClient, service: Service, sshd: Sshd, start_nginx: StartNginx
):
    nginx = start_nginx("a.test")
    liar = nginx.directory / "liar.pem"
    liar.write_text(
        "-----BEGIN CERTIFICATE-----\n#F x root root 755 yes /etc/shadow\n#D /etc\n-----END CERTIFICATE-----\n"
    )
    (nginx.directory / "no utf-8 \udcff.pem").write_text("")
    source = await made(client, body(sshd, nginx))
    run = await run_of(client, service, source)
    assert (run["state"], run["holdings"]) == ("finished", 1)
    assert {(gap["scope"], gap["reason"]) for gap in run["gaps"][1:]} == {
        (str(liar), "It holds a certificate that cannot be read.")
    }
    assert run["gaps"][0]["reason"] == "Its name is not plain UTF-8."


async def test_a_private_key_stays_on_the_host_even_where_a_configuration_includes_it(
    client: httpx.AsyncClient, service: Service, sshd: Sshd, start_nginx: StartNginx
):
    nginx = start_nginx("a.test")
    key = nginx.sites[0].key
    (nginx.directory / "careless.conf").write_text(f"include {key};\n")
    asked = body(sshd, nginx)
    asked["settings"]["configurations"] = {"nginx": str(nginx.directory / "careless.conf")}
    run = await run_of(client, service, await made(client, asked))
    assert [(gap["scope"], "private key" in gap["reason"]) for gap in run["gaps"]] == [(str(key), True)]


async def test_a_certificate_in_der_is_read_and_called_so(
    client: httpx.AsyncClient, service: Service, sshd: Sshd, start_nginx: StartNginx
):
    nginx = start_nginx("a.test")
    path = nginx.directory / "leaf.der"
    path.write_bytes(nginx.sites[0].issued.certificate.public_bytes(Encoding.DER))
    source = await made(client, body(sshd, nginx))
    await run_of(client, service, source)
    held = (await client.get(f"/v1/sources/{source}/holdings")).json()["items"]
    assert {one["path"]: one["details"]["format"] for one in held}[str(path)] == "der"
    assert {one["fingerprint"] for one in held} == {nginx.sites[0].issued.fingerprint}


async def test_with_sudo_it_is_read_as_root(
    client: httpx.AsyncClient, service: Service, sshd: Sshd, start_nginx: StartNginx
):
    source = await made(client, body(sshd, start_nginx("a.test"), settings={"sudo": True}))
    assert (await run_of(client, service, source))["holdings"] == 1
    tried = (await client.post(f"/v1/sources/{source}/check")).json()
    assert (tried["ok"], tried["checks"][1]["text"].startswith("root on ")) == (True, True)


async def test_trying_a_source_says_what_works(
    client: httpx.AsyncClient, sshd: Sshd, start_nginx: StartNginx
):
    source = await made(client, body(sshd, start_nginx("a.test")))
    tried = (await client.post(f"/v1/sources/{source}/check")).json()
    assert tried["ok"] is True
    assert [check["name"] for check in tried["checks"]] == ["reached", "login", "openssl", "folder"]
    sshd.stop()
    tried = (await client.post(f"/v1/sources/{source}/check")).json()
    assert (tried["ok"], len(tried["checks"])) == (False, 1)


async def test_a_credential_is_sealed_and_never_shown(
    client: httpx.AsyncClient, database: Database, sshd: Sshd, start_nginx: StartNginx
):
    source = await made(client, body(sshd, start_nginx("a.test")))
    shown = await client.get(f"/v1/sources/{source}")
    assert "credential" not in shown.json()
    async with database.read() as session:
        sealed = await session.scalar(sa.text("SELECT credential FROM sources"))
    assert b"PRIVATE KEY" not in bytes(sealed)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"settings": {"port": 0}}, "/body/settings/port"),
        ({"settings": {"colour": "red"}}, "/body/settings/colour"),
        ({"settings": {"host_key": "ssh-ed25519 not-a-key-at-all"}}, "/body/settings/host_key"),
        ({"credential": {}}, "/body/credential"),
        ({"credential": {"private_key": "not a key"}}, "/body/credential"),
    ],
)
async def test_what_is_wrong_with_a_source_is_pointed_at(
    client: httpx.AsyncClient, sshd: Sshd, start_nginx: StartNginx, changes: dict[str, Any], pointer: str
):
    answer = await client.post("/v1/sources", json=body(sshd, start_nginx("a.test"), **changes))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), answer.text


async def test_a_viewer_may_look_and_not_touch(client: httpx.AsyncClient):
    assert (await client.get("/v1/sources", headers=bearer("viewer"))).status_code == 200
    assert (await client.post("/v1/sources", json={}, headers=bearer("viewer"))).status_code == 403
    kinds = (await client.get("/v1/source-kinds")).json()["items"]
    assert [kind["kind"] for kind in kinds] == [kind.kind for kind in KINDS]
