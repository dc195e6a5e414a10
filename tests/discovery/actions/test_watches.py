"""Places that ought to change are looked at until they have."""

import asyncio
from datetime import timedelta

import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import Encoding

from services.discovery import store
from services.discovery.actions.sightings import keep
from services.discovery.actions.watches import Watches
from services.discovery.connectors import Sighting
from services.discovery.connectors.network import Network, NetworkOptions
from services.discovery.domain.answers import Outcome
from services.discovery.domain.targets import Asked
from shared.clock import utc_now
from shared.events import Event
from shared.events.discovery import CertificateFound, Place
from shared.events.provisioner import CertificateDeployed
from shared.store import Database
from shared.store.plumbing import OUTBOX
from tests.servers.nginx import Nginx, StartNginx
from tests.servers.tls import CertificateAuthority, fingerprint


def watches_on(database: Database) -> Watches:
    source = Network(NetworkOptions(timeout=timedelta(seconds=1)))
    return Watches(database, source=source, misses_until_lost=3, clock=utc_now)


def deployed(old: str, new: str, *places: Place) -> Event[CertificateDeployed]:
    payload = CertificateDeployed(
        lineage_id="lineage",
        order_id="order",
        deployment_id="deployment",
        target="web",
        old_fingerprint=old,
        fingerprint=new,
        places=list(places),
        is_last=True,
        deployed_at=utc_now(),
    )
    return Event[CertificateDeployed].of(payload, source="provisioner", now=utc_now())


async def seen_at(database: Database, nginx: Nginx) -> str:
    """Let discovery know the place; return what it serves."""
    asked = Asked(address="127.0.0.1", port=nginx.port)
    der = nginx.served().public_bytes(Encoding.DER)
    sighting = Sighting(asked=asked, outcome=Outcome.TLS, chain=(der,))
    async with database.transaction() as tx:
        await keep(tx, [sighting], now=utc_now(), misses_until_lost=3)
    return fingerprint(nginx.served())


async def found(database: Database) -> list[str]:
    async with database.read() as session:
        query = sa.select(OUTBOX.c.body).where(OUTBOX.c.type == "certificate.found").order_by(OUTBOX.c.id)
        return [Event.parse(body, CertificateFound).data.fingerprint for body in await session.scalars(query)]


async def count_watches(database: Database) -> int:
    async with database.read() as session:
        return int(await session.scalar(sa.select(sa.func.count()).select_from(store.Watch)) or 0)


async def test_a_place_is_looked_at_at_once_and_again_until_it_serves_another(
    database: Database, start_nginx: StartNginx, lab_ca: CertificateAuthority
) -> None:
    nginx = await asyncio.to_thread(start_nginx)
    old = await seen_at(database, nginx)
    watches = watches_on(database)
    async with database.transaction() as tx:
        await watches.deployed(tx, deployed(old, "f" * 64), now=utc_now())
    assert not await watches.work(utc_now()), "a reloaded server is given a moment"
    assert await watches.work(utc_now() + timedelta(seconds=2))
    assert await found(database) == [old, old]
    assert not await watches.work(utc_now() + timedelta(seconds=2)), "the next look is not due yet"

    issued = lab_ca.issue("localhost")
    site = nginx.sites[0]
    site.certificate.write_bytes(issued.chain_pem)
    site.key.write_bytes(issued.key_pem)
    await asyncio.to_thread(nginx.reload)
    await asyncio.to_thread(nginx.until_served, site, issued)
    # nginx's old worker may answer once more: then the watch goes on, as it does in life.
    for later in range(1, 20):
        await watches.work(utc_now() + timedelta(days=later))
        if not await count_watches(database):
            break
    assert (await found(database))[-1] == issued.fingerprint
    assert await count_watches(database) == 0


async def test_a_place_that_discovery_never_saw_is_looked_at_too(
    database: Database, start_nginx: StartNginx
) -> None:
    nginx = await asyncio.to_thread(start_nginx)
    watches = watches_on(database)
    place = Place(address="127.0.0.1", port=nginx.port, server_name="localhost")
    async with database.transaction() as tx:
        await watches.deployed(tx, deployed("0" * 64, "f" * 64, place), now=utc_now())
    await watches.work(utc_now() + timedelta(seconds=2))
    assert await found(database) == [fingerprint(nginx.served())]
