"""Clusters and clouds through the whole service: made known, tried, read in a run, and told, and no secret is left anywhere."""

import base64
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from shared.service import Service
from shared.store import Database
from tests.discovery.test_sources_api import made, run_of, said
from tests.discovery.workshops import Workshop, workshop_of
from tests.discovery.workshops.kubernetes import Cluster
from tests.servers.stores import Stores


@pytest.fixture
def database_url(stores: Stores, tmp_path: Path) -> Iterator[str]:
    """One database is enough: nothing here is of the store."""
    with stores.copy("discovery", "sqlite", tmp_path) as url:
        yield url


@pytest.fixture(params=["kubernetes", "azure-key-vault", "google-certificate-manager"])
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Workshop]:
    """Each kind's system, running."""
    async with workshop_of(request.param, tmp_path) as opened:
        yield opened


async def test_a_source_is_tried_read_and_told(
    client: httpx.AsyncClient, service: Service, database: Database, shop: Workshop, tmp_path: Path
):
    put = shop.put(30)
    body = {
        "name": shop.kind,
        "kind": shop.kind,
        "settings": dict(shop.settings),
        "credential": dict(shop.credential),
    }
    source = await made(client, body)
    checks = (await client.post(f"/v1/sources/{source}/check")).json()["checks"]
    assert all(each["ok"] for each in checks), checks
    run = await run_of(client, service, source)
    assert (run["state"], run["holdings"], run["gaps"]) == ("finished", len(put), [])
    held = (await client.get(f"/v1/sources/{source}/holdings", params={"limit": 100})).json()["items"]
    assert {each["path"]: each["fingerprint"] for each in held} == put
    events = [each["data"] for each in await said(database) if each["type"] == "certificate.found"]
    assert {each["place"]["path"]: each["fingerprint"] for each in events} == put
    assert {each["place"]["kind"] for each in events} == {"store"}
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("discovery.db*"))
    assert [secret for secret in secrets_of(shop) if secret in kept] == []


def secrets_of(shop: Workshop) -> list[bytes]:
    """Return what must be nowhere: the credential, and the keys of a cluster as the API gave them."""
    secrets = [str(each).encode() for each in shop.credential.values()]
    if isinstance(shop, Cluster):
        told = [each["data"]["tls.key"] for each in shop.server.objects("secrets")]
        secrets += [each.encode() for each in told] + [base64.b64decode(each) for each in told]
    return [*secrets, b"PRIVATE KEY"]
