"""Places that ought to change are looked at until they have."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Iterable
from datetime import timedelta

import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import Encoding

from services.discovery import store
from services.discovery.actions.sightings import keep
from services.discovery.actions.watches import Watches
from services.discovery.connectors.network import Network
from services.discovery.domain.answers import Outcome
from services.discovery.domain.looks import LookOptions
from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import Asked
from services.discovery.domain.watches import AFTER_DEPLOYMENT
from shared.clock import utc_now
from shared.events import Event
from shared.events.discovery import CertificateFound, Place
from shared.events.provisioner import CertificateDeployed
from shared.events.renewal import CertificateRenewed
from shared.store import Database
from shared.store.plumbing import OUTBOX
from tests.servers.nginx import Nginx, StartNginx
from tests.servers.tls import CertificateAuthority, fingerprint


def watches_on(database: Database) -> Watches:
    source = Network(LookOptions(timeout=timedelta(seconds=1)))
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


def renewed(old: str, new: str) -> Event[CertificateRenewed]:
    payload = CertificateRenewed(
        lineage_id="lineage",
        order_id="order",
        old_fingerprint=old,
        fingerprint=new,
        chain=[],
        names=["localhost"],
        not_before=utc_now(),
        not_after=utc_now(),
        authority="house-ca",
    )
    return Event[CertificateRenewed].of(payload, source="renewal", now=utc_now())


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


async def test_a_look_that_came_before_the_deployment_does_not_put_off_the_next(
    database: Database, start_nginx: StartNginx
) -> None:
    """The event arrives while the place is being looked at: what was seen is from before."""
    nginx = await asyncio.to_thread(start_nginx)
    old = await seen_at(database, nginx)
    late = utc_now() + timedelta(seconds=30)

    class Overtaken(Network):
        async def look(self, asked: Iterable[Asked]) -> AsyncGenerator[Sighting]:
            async for sighting in super().look(asked):
                async with database.transaction() as tx:
                    await watches.deployed(tx, deployed(old, "f" * 64), now=late)
                yield sighting

    source = Overtaken(LookOptions(timeout=timedelta(seconds=1)))
    watches = Watches(database, source=source, misses_until_lost=3, clock=utc_now)
    async with database.transaction() as tx:
        await watches.deployed(tx, deployed(old, "f" * 64), now=utc_now() - timedelta(seconds=5))
    assert await watches.work(utc_now())
    async with database.read() as session:
        (watch,) = await session.scalars(sa.select(store.Watch))
    assert (watch.looks, watch.next_look_at) == (0, late + AFTER_DEPLOYMENT)


async def test_every_place_of_a_certificate_that_thousands_share_is_watched(database: Database) -> None:
    watches = watches_on(database)
    sightings = [
        Sighting(
            asked=Asked(address=f"192.0.2.{n % 256}", port=1 + n), outcome=Outcome.TLS, chain=(b"wildcard",)
        )
        for n in range(6000)
    ]
    for start in range(0, 6000, 1000):
        async with database.transaction() as tx:
            await keep(tx, sightings[start : start + 1000], now=utc_now(), misses_until_lost=3)
    old = hashlib.sha256(b"wildcard").hexdigest()
    async with database.transaction() as tx:
        await watches.renewed(tx, renewed(old, "f" * 64), now=utc_now())
    assert await count_watches(database) == 6000
    at = utc_now()
    async with database.transaction() as tx:
        await watches.deployed(tx, deployed(old, "f" * 64), now=at)
        await watches.renewed(tx, renewed(old, "f" * 64), now=at)
    async with database.read() as session:
        due = set(await session.scalars(sa.select(store.Watch.next_look_at)))  # type: ignore[call-overload] # a column
    assert due == {at + AFTER_DEPLOYMENT}, "the later of the two says nothing new"


async def test_places_that_cannot_be_looked_at_are_not_watched(database: Database) -> None:
    watches = watches_on(database)
    odd = [
        Place(kind="store", address="host", path="/etc/cert.pem"),
        Place(address="shop.test", port=443),
        Place(address="127.0.0.1", port=None),
        Place(address="127.0.0.1", port=70000),
    ]
    async with database.transaction() as tx:
        await watches.deployed(tx, deployed("0" * 64, "f" * 64, *odd), now=utc_now())
    assert await count_watches(database) == 0


async def test_a_denied_place_is_neither_looked_at_nor_kept(database: Database) -> None:
    watches = watches_on(database)
    metadata = Place(address="169.254.169.254", port=443)
    async with database.transaction() as tx:
        await watches.deployed(tx, deployed("0" * 64, "f" * 64, metadata), now=utc_now())
    assert await watches.work(utc_now() + timedelta(seconds=2))
    assert await count_watches(database) == 0


async def test_a_server_that_restarts_is_not_lost(database: Database, start_nginx: StartNginx) -> None:
    nginx = await asyncio.to_thread(start_nginx)
    old = await seen_at(database, nginx)
    await asyncio.to_thread(nginx.stop)
    started = utc_now()
    time = [started]
    source = Network(LookOptions(timeout=timedelta(seconds=1)))
    watches = Watches(database, source=source, misses_until_lost=3, clock=lambda: time[0])
    async with database.transaction() as tx:
        await watches.deployed(tx, deployed(old, "f" * 64), now=started)
    missed = []
    for _ in range(6):
        async with database.read() as session:
            (watch,) = await session.scalars(sa.select(store.Watch))
        time[0] = watch.next_look_at
        await watches.work(time[0])
        async with database.read() as session:
            (place,) = await session.scalars(sa.select(store.KnownPlace))
            lost = await session.scalar(sa.select(sa.func.count()).where(OUTBOX.c.type == "place.lost"))
        missed.append((int((time[0] - started).total_seconds()), place.misses, lost))
    assert missed == [(1, 1, 0), (6, 1, 0), (36, 1, 0), (156, 2, 0), (756, 3, 1), (4356, 4, 1)]
