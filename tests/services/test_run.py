import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from fastapi import Request

from services.program import service_module
from services.run import front_door, listen, serve
from shared.access import Verifier
from shared.bus.sqlite import SqliteBus
from shared.errors import Conflict
from shared.http import Routes, create_api, public
from shared.service import Service
from shared.store import Database
from tests.builders import ISSUER, KnownKey
from tests.servers.processes import free_port

Job = Callable[[], Coroutine[Any, Any, None]]


def routes() -> Routes:
    made = Routes()

    @made.get("/v1/where", summary="Tell the path", openapi_extra=public("a test"))
    async def where(request: Request) -> str:
        return request.url.path

    return made


def service(name: str, database: Database, *jobs: Job) -> Service:
    verifier = Verifier(KnownKey(), issuer=ISSUER)
    api = create_api(name=name, summary="A test.", routers=[routes()], verifier=verifier)
    return Service(name=name, api=api, database=database, queues=[], emits=[], receives=[], jobs=jobs)


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[SqliteBus]:
    """An embedded bus."""
    opened = SqliteBus(tmp_path / "bus.db")
    await opened.declare([])
    yield opened
    await opened.close()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A database that answers."""
    opened = Database(f"sqlite:///{tmp_path}/garden.db", source="garden")
    yield opened
    await opened.close()


@pytest.fixture
async def client(bus: SqliteBus, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a process with two services, one of which has lost its database."""
    away = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/none", source="orchard")
    app = front_door([service("garden", database), service("orchard", away)], bus)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as made:
        yield made
    await away.close()


async def test_each_service_is_below_its_name_with_its_contract(client: httpx.AsyncClient):
    for name in ("garden", "orchard"):
        assert (await client.get(f"/{name}/v1/where")).json() == f"/{name}/v1/where"
        assert (await client.get(f"/{name}/openapi.json")).json()["servers"] == [{"url": f"/{name}"}]
    index = (await client.get("/")).json()
    assert index == {"everleaf": {name: f"/{name}/openapi.json" for name in ("garden", "orchard")}}


async def test_a_process_is_alive_even_where_a_database_is_away(client: httpx.AsyncClient):
    assert (await client.get("/livez")).status_code == 200


async def test_it_is_not_ready_then_and_says_which_part_is_missing(client: httpx.AsyncClient):
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "bus": "ready",
        "garden": "ready",
        "orchard": "The database of orchard does not answer.",
    }


async def test_it_is_ready_when_everything_answers(bus: SqliteBus, database: Database):
    app = front_door([service("garden", database)], bus)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"bus": "ready", "garden": "ready"})


async def test_it_is_not_ready_before_its_database_is_migrated(bus: SqliteBus, database: Database):
    unmigrated = replace(service("notifier", database), schema=service_module("notifier").SCHEMA)
    app = front_door([unmigrated], bus)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.get("/readyz")
        metrics = (await client.get("/metrics")).text
    assert answer.status_code == 503
    assert "is at version None, this program needs" in answer.json()["notifier"]
    assert 'everleaf_ready{part="notifier"} 0.0' in metrics
    assert 'everleaf_ready{part="bus"} 1.0' in metrics
    assert 'everleaf_measures_failed{service="notifier"} 1.0' in metrics  # there is no outbox to look at


async def test_metrics_are_in_the_form_that_prometheus_reads(client: httpx.AsyncClient):
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "process_cpu_seconds_total" in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_that_is_taken_is_one_clear_line(host: str):
    with listen(host, 0) as taken:
        taken.listen()
        with pytest.raises(Conflict, match=rf"Cannot listen on {host} port \d+: .*in use"):
            listen(host, taken.getsockname()[1])


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 0), ("no such host", 0), ("127.0.0.1", 70000)])
def test_an_address_that_is_not_ours_is_one_clear_line(host: str, port: int):
    with pytest.raises(Conflict, match="--host or --port"):
        listen(host, port)


class Patient:
    """A job that goes on until it is cancelled."""

    def __init__(self) -> None:
        self.has_ended = False

    async def __call__(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self.has_ended = True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_server_and_the_jobs_without_an_error(
    number: signal.Signals, bus: SqliteBus, database: Database
):
    job = Patient()
    garden = service("garden", database, job)
    bound = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"

    async def stop_it() -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            await _answered(client, f"{url}/livez")
            signal.raise_signal(number)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stop_it)
            await serve(front_door([garden], bus), [garden], bound)
    assert job.has_ended
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{url}/livez")


async def _answered(client: httpx.AsyncClient, url: str) -> None:
    while True:
        try:
            await client.get(url)
        except httpx.TransportError:
            await anyio.sleep(0.01)
        else:
            return


async def test_a_job_that_fails_ends_the_server_and_the_other_jobs_with_its_error(
    bus: SqliteBus, database: Database
):
    other = Patient()

    async def fail() -> None:
        await anyio.sleep(0.2)
        raise RuntimeError("a mistake")

    services = [service("garden", database, other), service("orchard", database, fail)]
    bound = listen("127.0.0.1", 0)
    port = bound.getsockname()[1]
    with anyio.fail_after(60), pytest.raises(ExceptionGroup) as raised:
        await serve(front_door(services, bus), services, bound)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port)).close()
    assert raised.group_contains(RuntimeError, match="a mistake")
    assert other.has_ended
