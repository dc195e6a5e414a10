"""Discovery's HTTP door."""

import asyncio
import socket
import time
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from services.discovery.actions.scans import Pace
from services.discovery.api.scans import ScanBody
from shared.service import Service
from tests.builders import bearer
from tests.servers.nginx import StartNginx
from tests.servers.processes import free_port
from tests.servers.s_server import openssl_server
from tests.servers.tls import CertificateAuthority


async def test_without_a_token_nothing_is_answered(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/scans", headers={"Authorization": ""})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["next_step"]


async def test_scanning_takes_an_operator(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/scans", json={"targets": ["127.0.0.1"]}, headers=bearer("viewer"))
    assert answer.status_code == 403


async def test_a_scan_is_queued_with_a_location(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/scans", json={"targets": ["127.0.0.1"], "ports": "1-3"})
    assert answer.status_code == 202
    scan = answer.json()
    assert answer.headers["location"] == f"/discovery/v1/scans/{scan['id']}"
    assert (scan["state"], scan["total"], scan["percent"]) == ("queued", 3, 0)
    listed = (await client.get("/v1/scans")).json()["items"]
    assert [item["id"] for item in listed] == [scan["id"]]
    assert (await client.post(f"/v1/scans/{scan['id']}/cancel")).json()["state"] == "cancelled"


@pytest.mark.parametrize("ports", [443, [443], "443", ["443"], [443, "443-443"]])
async def test_ports_may_be_numbers_text_or_a_list(client: httpx.AsyncClient, ports: object) -> None:
    answer = await client.post("/v1/scans", json={"targets": ["127.0.0.1"], "ports": ports})
    assert (answer.status_code, answer.json()["total"]) == (202, 1)


async def test_a_scan_is_worked_off_and_shown_through_the_api(
    client: httpx.AsyncClient, service: Service, start_nginx: StartNginx
) -> None:
    """The workers run, as in a process; while one scan waits for a silent server another gets its turn."""
    nginx = await asyncio.to_thread(start_nginx, "a.test", "b.test")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(service.work)
            slow = {"targets": [f"127.0.0.1:{port}"], "timeout": 20}
            waiting = (await client.post("/v1/scans", json=slow)).json()["id"]
            body = {
                "targets": [f"https://127.0.0.1:{nginx.port}", f"127.0.0.1:{free_port()}"],
                "server_names": ["a.test", "b.test"],
            }
            scan = (await client.post("/v1/scans", json=body)).json()["id"]
            shown = await until_ended(client, scan)
            assert (shown["state"], shown["percent"], shown["seconds_left"]) == ("finished", 100, None)
            assert {name: n for name, n in shown["counts"].items() if n} == {
                "asked": 4,
                "tls": 2,
                "refused": 2,
                "found": 2,
                "new": 2,
            }
            assert (await client.get(f"/v1/scans/{waiting}")).json()["state"] == "running"
            assert (await client.post(f"/v1/scans/{waiting}/cancel")).json()["state"] == "cancelled"
            again = await client.post(f"/v1/scans/{waiting}/cancel")
            assert (again.status_code, again.json()["type"].split("/")[-1]) == (409, "conflict")
            tasks.cancel_scope.cancel()
    found = (await client.get(f"/v1/scans/{scan}/results", params={"outcome": "tls"})).json()["items"]
    assert {one["server_name"]: one["fingerprint"] for one in found} == {
        site.server_name: site.issued.fingerprint for site in nginx.sites
    }
    first = (await client.get(f"/v1/scans/{scan}/results", params={"limit": 3})).json()
    rest = (
        await client.get(f"/v1/scans/{scan}/results", params={"limit": 3, "cursor": first["next_cursor"]})
    ).json()
    assert [one["number"] for one in first["items"] + rest["items"]] == [0, 1, 2, 3]
    places = (await client.get("/v1/places")).json()["items"]
    assert [place["server_name"] for place in places] == ["a.test", "b.test"]


async def test_depth_full_shows_both_certificates_of_a_server_and_what_it_would_negotiate(
    client: httpx.AsyncClient, service: Service, lab_ca: CertificateAuthority, tmp_path: Path
) -> None:
    ec, rsa = lab_ca.issue("both.test", kind="ec"), lab_ca.issue("both.test", kind="rsa")
    with openssl_server(issued=ec, other=rsa, folder=tmp_path) as port:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(service.work)
            body = {
                "targets": [f"127.0.0.1:{port}"],
                "depth": "full",
                "starttls": "none",
                "rate": 1000,
                "fan_out": False,
            }
            scan = (await client.post("/v1/scans", json=body)).json()["id"]
            shown = await until_ended(client, scan)
            tasks.cancel_scope.cancel()
    assert (shown["state"], shown["depth"], shown["starttls"]) == ("finished", "full", "none")
    assert (shown["counts"]["tls"], shown["counts"]["found"]) == (1, 2)
    (result,) = (await client.get(f"/v1/scans/{scan}/results")).json()["items"]
    assert result["depth"]["versions"] == ["TLSv1.3", "TLSv1.2"]
    assert {result["fingerprint"], *result["others"].values()} == {ec.fingerprint, rsa.fingerprint}
    places = (await client.get("/v1/places")).json()["items"]
    assert {place["fingerprint"] for place in places} == {ec.fingerprint, rsa.fingerprint}
    assert sorted(str(place["key_type"]) for place in places) == ["None", *result["others"]]


async def test_a_scan_is_paused_and_resumed(client: httpx.AsyncClient, service: Service) -> None:
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(service.work)
            body = {"targets": [f"127.0.0.1:{silent.getsockname()[1]}"], "timeout": 1}
            scan = (await client.post("/v1/scans", json=body)).json()["id"]
            paused = (await client.post(f"/v1/scans/{scan}/pause")).json()
            assert (paused["state"], paused["percent"], paused["seconds_left"]) == ("paused", 0, None)
            await anyio.sleep(1.2)
            assert (await client.get(f"/v1/scans/{scan}")).json()["counts"]["asked"] == 0
            again = await client.post(f"/v1/scans/{scan}/pause")
            assert (again.status_code, again.json()["next_step"]) == (409, "There is nothing to pause.")
            await client.post(f"/v1/scans/{scan}/resume")
            shown = await until_ended(client, scan)
            tasks.cancel_scope.cancel()
    assert (shown["state"], shown["counts"]["silent"]) == ("finished", 1)
    assert 1 <= shown["active_seconds"] < time.monotonic() - began - 1.1


def test_a_pace_above_the_operators_is_taken_down_to_it() -> None:
    pace = Pace(timeout=3, concurrency=100, per_host=5, per_network=50, rate=20)
    wild = ScanBody(targets=["192.0.2.1"], concurrency=1000, per_host=1000, per_network=1000, rate=1000)
    asked = wild.new(pace)
    assert (asked.concurrency, asked.per_host, asked.per_network, asked.rate) == (100, 5, 50, 20)
    modest = ScanBody(targets=["192.0.2.1"], concurrency=10, per_host=1, per_network=2, rate=3).new(pace)
    assert (modest.concurrency, modest.per_host, modest.per_network, modest.rate) == (10, 1, 2, 3)
    assert ScanBody(targets=["192.0.2.1"]).new(pace).rate == 20


async def test_a_protocol_that_is_none_is_refused(client: httpx.AsyncClient) -> None:
    body = {"targets": ["127.0.0.1"], "starttls": "gopher"}
    answer = await client.post("/v1/scans", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/body/starttls")


async def until_ended(client: httpx.AsyncClient, scan_id: str) -> dict[str, Any]:
    with anyio.fail_after(60):
        while True:
            shown: dict[str, Any] = (await client.get(f"/v1/scans/{scan_id}")).json()
            if shown["state"] not in ("queued", "running"):
                return shown
            await anyio.sleep(0.02)


async def test_a_repeated_request_starts_one_scan(client: httpx.AsyncClient) -> None:
    body, key = {"targets": ["127.0.0.1"]}, {"Idempotency-Key": "one"}
    first = await client.post("/v1/scans", json=body, headers=key)
    second = await client.post("/v1/scans", json=body, headers=key)
    assert first.json()["id"] == second.json()["id"]
    assert len((await client.get("/v1/scans")).json()["items"]) == 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"targets": ["10.0.0.0/4"]}, "/body/targets"),
        ({"targets": ["127.0.0.1"], "ports": "70000"}, "/body/ports"),
        ({"targets": ["127.0.0.1:70000"]}, "/body/targets/0"),
        ({"targets": ["no-such-host.invalid"]}, "/body/targets/0"),
        ({"targets": ["127.0.0.1"], "ports": [443, 70000]}, "/body/ports"),
        ({"targets": ["127.0.0.1"], "ports": [True]}, "/body/ports"),
        ({"targets": ["127.0.0.1"], "exclude": ["x"]}, "/body/exclude/0"),
        ({"targets": ["127.0.0.1"], "server_names": ["a.test", "192.0.2.1"]}, "/body/server_names/1"),
        ({"targets": ["127.0.0.1"], "server_names": ["x" * 300]}, "/body/server_names/0"),
        ({"targets": ["127.0.0.1"], "timeout": 0}, "/body/timeout"),
        ({"targets": ["127.0.0.1"], "colour": "blue"}, "/body/colour"),
        ({"targets": []}, "/body/targets"),
    ],
)
async def test_bad_input_is_a_problem_that_points_at_it_and_says_what_to_do(
    client: httpx.AsyncClient, body: dict[str, object], pointer: str
) -> None:
    answer = await client.post("/v1/scans", json=body)
    assert answer.status_code == 422
    problem = answer.json()
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert problem["next_step"]


async def test_a_body_that_is_not_json_is_said_to_be_none(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/scans", content=b"{", headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["type"].endswith("/not-json")


async def test_an_unknown_scan_is_not_found(client: httpx.AsyncClient) -> None:
    for path in ("/v1/scans/none", "/v1/scans/none/results"):
        assert (await client.get(path)).status_code == 404
