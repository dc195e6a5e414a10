"""The databases end and every service is killed in the middle of the loop: one certificate, in place."""

import random
import time
from collections.abc import Mapping

import httpx
import pytest
import sqlalchemy as sa

from shared.store import Database
from tests.journeys.conftest import StartPlatform
from tests.journeys.estate import Estate, found, known, scan
from tests.journeys.platforms import SERVICES, Production, accepted, items, until
from tests.journeys.test_expiring_certificate_is_renewed_and_deployed import builtin
from tests.servers.postgres import OwnDatabase, Postgres
from tests.servers.tls import CertificateAuthority, fingerprint

NAME = "shop.example.test"
_REFUSED = 4.0
"""Seconds: by then each worker with something to look at has tried."""


@pytest.mark.timeout(500)
async def test_databases_that_end_and_a_kill_of_every_service_in_the_middle_end_in_one_certificate(
    start_platform: StartPlatform,
    estate: Estate,
    lab_ca: CertificateAuthority,
    postgres: Postgres,
    databases: dict[str, OwnDatabase],
) -> None:
    platform = start_platform("production")
    assert isinstance(platform, Production)
    site = estate.expiring_site(NAME, ca=lab_ca)
    old = fingerprint(site.served())
    with platform.client() as client:
        estate.tell_notifier(client)
        builtin(client)
        scan(client, site)
        lineage_id = known(client, site)["lineage_id"]
        estate.bind(client, site, lineage_id=lineage_id)
        accepted(client.put(f"/renewal/v1/enrolments/{lineage_id}", json={"profile": "web"}))
        _refuse_for_a_while(postgres, databases)
        assert [name for name in SERVICES if not platform.processes[name].is_running()] == []
        for name in random.Random(7).sample(SERVICES, len(SERVICES)):
            platform.processes[name].kill()
            platform.start_service(name)
        for name in SERVICES:
            platform.wait_ready(platform.ports[name], platform.processes[name])

        found(client, "/inventory/v1/replacements", within=150, lineage_id=lineage_id, state="replaced")
        until(lambda: _all_resolved(client, lineage_id), what="the end of the alerts", within=60)
        assert fingerprint(site.served()) != old
        (order,) = items(client, "/renewal/v1/orders", lineage_id=lineage_id)
        assert order["state"] == "renewed"
        assert order["fingerprint"] == fingerprint(site.served())
        (deployment,) = items(client, "/provisioner/v1/deployments", lineage_id=lineage_id)
        assert deployment["state"] == "deployed"
        for name in SERVICES:
            assert accepted(client.get(f"/{name}/v1/dead-letters"))["total"] == 0


def _refuse_for_a_while(postgres: Postgres, databases: Mapping[str, OwnDatabase]) -> None:
    """End every connection and open none, as PostgreSQL does while it starts again after a crash."""
    for own in databases.values():
        postgres.sql(f"ALTER ROLE {own.user} CONNECTION LIMIT 0")
    for own in databases.values():
        postgres.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{own.user}'")
    time.sleep(_REFUSED)
    for own in databases.values():
        postgres.sql(f"ALTER ROLE {own.user} CONNECTION LIMIT -1")


def _all_resolved(client: httpx.Client, lineage_id: str) -> bool:
    alerts = items(client, "/notifier/v1/alerts", lineage_id=lineage_id)
    return all(alert["state"] == "resolved" for alert in alerts)


async def test_no_service_can_read_anothers_tables(databases: dict[str, OwnDatabase]) -> None:
    for name, own in databases.items():
        for other in databases.values():
            if other is own:
                continue
            url = sa.make_url(own.url).set(database=other.name).render_as_string(hide_password=False)
            intruder = Database(url, source=name)
            with pytest.raises(sa.exc.DBAPIError, match="permission denied for database"):
                async with intruder.read() as session:
                    await session.execute(sa.text("SELECT 1"))
            await intruder.close()
