"""What is installed as `deploy/` says works; each part may do no more than it must; and Everleaf renews its own certificates."""

import ssl
import subprocess
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import asyncpg
import httpx
import pytest
from aiormq.exceptions import ChannelAccessRefused

from services.program import events_of
from tests.deploy.installation import Installation
from tests.journeys.platforms import PROGRAM, SERVICES, accepted

HOUSE = "CN=Parts of the house"
PATIENCE = 300
"""Seconds for what takes two: a machine may have much else to do."""


def test_every_service_answers_through_the_gateway_and_only_what_is_for_all(
    installation: Installation,
) -> None:
    with installation.client() as client:
        for name in SERVICES:
            answer = client.get(f"/{name}/v1/dead-letters")
            assert accepted(answer)["total"] == 0
            assert "max-age" in answer.headers["strict-transport-security"]
        for path in ("/livez", "/readyz", "/metrics"):
            assert client.get(path).status_code == 404
    plain = httpx.get(f"{installation.gateway.plain_url}/inventory/v1/certificates", trust_env=False)
    assert plain.status_code == 308
    assert plain.headers["location"].startswith("https://localhost")


def test_whoever_supervises_a_process_is_told_that_it_is_well(installation: Installation) -> None:
    port = installation.ports["renewal"][0]
    asked = [str(PROGRAM), "healthy", "--port", str(port), "--path", "/readyz"]
    well = subprocess.run(
        asked, env=installation.environ("renewal"), capture_output=True, text=True, check=False
    )
    assert (well.returncode, well.stderr) == (0, "")
    another = subprocess.run(
        asked, env=installation.environ("notifier"), capture_output=True, text=True, check=False
    )
    assert another.returncode == 1
    assert "shows another certificate" in another.stderr


async def test_without_a_certificate_nobody_reaches_a_service_the_broker_or_a_database(
    installation: Installation,
) -> None:
    trusting = ssl.create_default_context(cafile=str(installation.home / "tls" / "gateway" / "ca.pem"))
    trusting.check_hostname = False
    async with httpx.AsyncClient(verify=trusting, trust_env=False) as client:
        for name in SERVICES:
            with pytest.raises(httpx.TransportError):
                await client.get(f"https://localhost:{installation.ports[name][0]}/livez")
    with pytest.raises((ConnectionError, ssl.SSLError, aio_pika.exceptions.AMQPError)):
        await aio_pika.connect(_bus_url(installation, "inventory"), ssl_context=trusting, timeout=60)
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="client certificate"):
        await _connected(installation, "inventory", tls=trusting)


async def test_the_role_that_runs_a_service_changes_rows_and_nothing_else(installation: Installation) -> None:
    running = await _connected(installation, "inventory")
    try:
        assert await running.fetchval("SELECT count(*) FROM principals") > 0
        for statement in (
            "CREATE TABLE mine (id int)",
            "CREATE TEMPORARY TABLE mine (id int)",
            "ALTER TABLE principals ADD COLUMN mine int",
            "DROP TABLE principals",
            "TRUNCATE principals",
            "CREATE ROLE mine",
            "SET ROLE everleaf_inventory_migrate",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await running.execute(statement)
    finally:
        await running.close()
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match=r"no pg_hba\.conf entry"):
        await _connected(installation, "inventory", database="everleaf_renewal")


async def test_a_service_says_on_the_bus_only_what_its_contract_says_and_hears_only_its_own_queue(
    installation: Installation,
) -> None:
    tls = installation.broker.context()
    connection = await aio_pika.connect(_bus_url(installation, "discovery"), ssl_context=tls, timeout=60)
    async with connection:

        @asynccontextmanager
        async def refused() -> Any:
            channel = await connection.channel()
            with pytest.raises(ChannelAccessRefused):
                yield channel

        assert "certificate.renewed" not in events_of("discovery", action="send")
        async with refused() as channel:
            exchange = await channel.get_exchange("everleaf.events", ensure=False)
            await exchange.publish(aio_pika.Message(b"{}"), "certificate.renewed")
        async with refused() as channel:
            queue = await channel.get_queue("inventory.events")
            await queue.get(fail=False)
        async with refused() as channel:
            await channel.declare_queue("mine", durable=True)
        async with refused() as channel:
            await channel.default_exchange.publish(aio_pika.Message(b"{}"), "renewal.events")


def _bus_url(installation: Installation, name: str) -> str:
    password = (installation.home / "secrets" / f"bus-{name}").read_text().strip()
    return f"amqps://everleaf-{name}:{password}@localhost:{installation.broker.tls_port}/everleaf"


async def _connected(
    installation: Installation, name: str, *, database: str | None = None, tls: ssl.SSLContext | None = None
) -> asyncpg.Connection:
    folder = installation.home / "tls" / name
    if tls is None:
        tls = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        tls.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return await asyncpg.connect(
        host="localhost",
        port=installation.database.port,
        user=f"everleaf_{name}",
        password=(installation.home / "secrets" / f"db-{name}").read_text().strip(),
        database=database or f"everleaf_{name}",
        ssl=tls,
        timeout=60,
    )
