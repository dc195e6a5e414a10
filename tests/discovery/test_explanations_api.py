""" "Why was this missed?", asked over HTTP."""

import socket
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from services.discovery.service import build
from shared.clock import utc_now
from shared.service import Endpoint, Service
from shared.store import Database
from tests.builders import bearer, surroundings
from tests.discovery.lookout import CALLER, new, scans_on, work_off
from tests.discovery.test_api import until_ended
from tests.servers.nginx import StartNginx
from tests.servers.processes import free_port


async def why(client: httpx.AsyncClient, target: str, **more: str) -> dict[str, Any]:
    answer = await client.get("/v1/explain", params={"target": target, **more})
    assert answer.status_code == 200, answer.text
    places: list[dict[str, Any]] = answer.json()["places"]
    return places[0]


async def test_what_nobody_has_asked_says_how_to_ask(client: httpx.AsyncClient) -> None:
    told = await why(client, "192.0.2.1:8443")
    assert (told["verdict"], told["address"], told["port"]) == ("never_asked", "192.0.2.1", 8443)
    assert '{"targets": ["192.0.2.1:8443"]}' in told["next_step"]


async def test_what_may_never_be_looked_at_says_which_list_keeps_it(client: httpx.AsyncClient) -> None:
    told = await why(client, "169.254.169.254")
    assert (told["verdict"], "metadata" in told["text"]) == ("denied", True)


async def test_a_name_without_an_address_is_told(client: httpx.AsyncClient) -> None:
    told = await why(client, "https://no-such-host.invalid")
    assert (told["verdict"], told["address"], told["server_name"]) == (
        "unresolved",
        None,
        "no-such-host.invalid",
    )


async def test_a_place_that_waits_its_turn_is_told_with_its_scan(
    client: httpx.AsyncClient, service: Service
) -> None:
    scan = await scans_on(service.database).create(
        new("192.0.2.0/24", ports="443-445"), caller=CALLER, now=utc_now()
    )
    told = await why(client, "192.0.2.77:444")
    assert (told["verdict"], scan.id in told["text"]) == ("waiting", True)
    assert (await why(client, "192.0.2.77:446"))["verdict"] == "never_asked"
    assert (await why(client, "192.0.3.0:444"))["verdict"] == "never_asked"


async def test_what_came_of_the_last_look_is_told(client: httpx.AsyncClient, service: Service) -> None:
    refusing = free_port()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        ports = f"{refusing},{port}"
        asked = new("127.0.0.1", "127.0.0.2", ports=ports, exclude=["127.0.0.2"])
        scan = await scans_on(service.database).create(asked, caller=CALLER, now=utc_now())
        await work_off(service.database)
    for target, outcome in (
        (f"127.0.0.1:{refusing}", "refused"),
        (f"127.0.0.1:{port}", "silent"),
        (f"127.0.0.2:{port}", "excluded"),
    ):
        told = await why(client, target)
        assert (told["verdict"], told["looked"]["outcome"]) == ("looked", outcome)
        assert told["looked"]["scan_id"] == scan.id
        assert told["next_step"]


async def test_a_known_place_is_seen_then_missed_then_lost(
    client: httpx.AsyncClient, service: Service, start_nginx: StartNginx
) -> None:
    nginx = start_nginx()
    target = f"127.0.0.1:{nginx.port}"

    async def scan() -> dict[str, Any]:
        await scans_on(service.database).create(new(target), caller=CALLER, now=utc_now())
        await work_off(service.database)
        return await why(client, target)

    seen = await scan()
    assert (seen["verdict"], seen["seen"]["fingerprint"]) == ("seen", nginx.sites[0].issued.fingerprint)
    nginx.stop()
    missed = await scan()
    assert (missed["verdict"], missed["seen"]["misses"]) == ("missed", 1)
    assert "2 more" in missed["next_step"]
    assert "refused" in missed["text"]
    await scan()
    assert (await scan())["verdict"] == "lost"


@pytest.mark.parametrize("target", ["192.0.2.0/24", "*.example.com", "not a target"])
async def test_a_target_that_is_not_one_place_is_refused(client: httpx.AsyncClient, target: str) -> None:
    answer = await client.get("/v1/explain", params={"target": target})
    assert answer.status_code == 422
    assert answer.json()["next_step"]


async def test_nobody_looks_at_what_the_platform_runs_on_unless_the_operator_lets_them(
    database: Database, tmp_path: Path
) -> None:
    url = database.url.set(drivername=database.url.get_backend_name()).render_as_string(hide_password=False)
    with socket.create_server(("127.0.0.1", 0)) as own:
        port = own.getsockname()[1]
        for scan_own, verdict, outcome in (("false", "denied", "excluded"), ("true", "looked", "silent")):
            environ = {"EVERLEAF_DISCOVERY_DATABASE_URL": url, "EVERLEAF_DISCOVERY_SCAN_OWN": scan_own}
            servers = (Endpoint(host="localhost", port=port),)
            async with build(surroundings(tmp_path, environ=environ, own_servers=servers)) as service:
                transport = httpx.ASGITransport(service.api)
                async with httpx.AsyncClient(
                    transport=transport, base_url="http://t", headers=bearer("operator")
                ) as client:
                    body = {"targets": [f"127.0.0.1:{port}"], "timeout": 0.2, "starttls": "none"}
                    scan = (await client.post("/v1/scans", json=body)).json()["id"]
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(service.work)
                        shown = await until_ended(client, scan)
                        tasks.cancel_scope.cancel()
                    assert shown["counts"][outcome] == 1
                    assert (await why(client, f"127.0.0.1:{port}"))["verdict"] == verdict
