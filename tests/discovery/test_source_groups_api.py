"""Many hosts in one job: made known by one call, read by another, by one process or by two."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from services.discovery.service import build
from shared.bus.sqlite import SqliteBus
from shared.service import Service
from shared.store import Database
from tests.builders import bearer, surroundings
from tests.discovery.test_sources_api import working
from tests.servers.processes import free_port
from tests.servers.ssh_fleet import Fleet
from tests.servers.tls import CertificateAuthority

HOSTS, HANGING, REFUSING = 24, 3, 3


@pytest.fixture
async def fleet(lab_ca: CertificateAuthority) -> AsyncIterator[Fleet]:
    pem = lab_ca.issue("fleet.test").certificate_pem.decode()
    made = Fleet(port=free_port(), count=HOSTS, hanging=HANGING, refusing=REFUSING, certificate=pem)
    async with made.running():
        yield made


@pytest.fixture
def environ(database: Database) -> dict[str, str]:
    url = database.url.set(drivername=database.url.get_backend_name()).render_as_string(hide_password=False)
    return {"EVERLEAF_DISCOVERY_DATABASE_URL": url, "EVERLEAF_DISCOVERY_SOURCE_CONNECT_TIMEOUT": "5"}


@pytest.fixture
async def service(environ: dict[str, str], tmp_path: Path) -> AsyncIterator[Service]:
    bus = SqliteBus(tmp_path / "bus.db")
    environ |= {"EVERLEAF_DISCOVERY_SOURCES_PER_NETWORK": "6"}
    async with build(surroundings(tmp_path, environ=environ, bus=bus)) as opened:
        yield opened
    await bus.close()


async def put(client: httpx.AsyncClient, body: dict[str, Any], *, group: str = "fleet") -> Any:
    answer = await client.put(f"/v1/source-groups/{group}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def started(client: httpx.AsyncClient) -> str:
    answer = await client.post("/v1/source-groups/fleet/runs")
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def settled(client: httpx.AsyncClient, job: str) -> Any:
    """Wait until every host was asked: then nothing is queued, and nothing runs."""
    with anyio.fail_after(60):
        while True:
            shown = (await client.get(f"/v1/source-jobs/{job}")).json()
            assert shown["total"] == HOSTS
            assert (
                sum(shown[state] for state in ("queued", "running", "waiting", "finished", "failed")) == HOSTS
            )
            if shown["queued"] + shown["running"] == 0:
                return shown
            await anyio.sleep(0.1)


async def test_a_group_is_read_as_one_job_whatever_some_of_its_hosts_do(
    client: httpx.AsyncClient, service: Service, fleet: Fleet
):
    assert await put(client, fleet.group()) == {"created": HOSTS, "changed": 0}
    async with working(service):
        job = await started(client)
        shown = await settled(client, job)
    good = HOSTS - HANGING - REFUSING
    assert (shown["finished"], shown["failed"], shown["waiting"]) == (good, REFUSING, HANGING)
    assert shown["holdings"] == good
    assert (fleet.most_in_a_network <= 6, fleet.most_at_once > 1) == (True, True)
    failed = (await client.get(f"/v1/source-jobs/{job}/runs", params={"state": "failed"})).json()["items"]
    assert {"refused the login" in run["error"] for run in failed} == {True}
    assert len(failed) == REFUSING


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_two_replicas_share_a_job_and_its_limits(
    client: httpx.AsyncClient,
    service: Service,
    environ: dict[str, str],
    fleet: Fleet,
    tmp_path: Path,
):
    await put(client, fleet.group())
    other = tmp_path / "other"
    other.mkdir()
    bus = SqliteBus(other / "bus.db")
    async with (
        build(surroundings(other, environ=environ, bus=bus)) as second,
        working(service),
        working(second),
    ):
        shown = await settled(client, await started(client))
    await bus.close()
    assert (shown["finished"], shown["failed"], shown["waiting"]) == (fleet.good, REFUSING, HANGING)
    assert fleet.most_in_a_network <= 6


async def test_a_group_may_be_said_again_and_changes_only_what_differs(
    client: httpx.AsyncClient, fleet: Fleet
):
    body = fleet.group()
    await put(client, body)
    body["settings"]["sudo"] = True
    body["every"] = 3600
    assert await put(client, body) == {"created": 0, "changed": HOSTS}
    listed = (await client.get("/v1/sources", params={"group": "fleet", "limit": 100})).json()["items"]
    assert len(listed) == HOSTS
    assert {(each["settings"]["sudo"], each["every"], each["group"]) for each in listed} == {
        (True, 3600, "fleet")
    }


async def test_a_group_is_made_known_wholly_or_not_at_all(client: httpx.AsyncClient, fleet: Fleet):
    body = fleet.group()
    body["sources"][7]["settings"]["port"] = 0
    answer = await client.put("/v1/source-groups/fleet", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (
        422,
        "/body/sources/7/settings/port",
    )
    assert (await client.get("/v1/sources")).json()["items"] == []
    body = fleet.group()
    body["sources"][1] = body["sources"][0]
    assert (await client.put("/v1/source-groups/fleet", json=body)).status_code == 422
    await put(client, fleet.group())
    assert (await client.put("/v1/source-groups/another", json=fleet.group())).status_code == 409


async def test_a_group_or_a_job_that_is_not_there_is_not_found(client: httpx.AsyncClient):
    assert (await client.post("/v1/source-groups/none/runs")).status_code == 404
    for path in ("", "/runs"):
        assert (await client.get(f"/v1/source-jobs/none{path}")).status_code == 404
    assert (await client.put("/v1/source-groups/x", json={}, headers=bearer("viewer"))).status_code == 403
