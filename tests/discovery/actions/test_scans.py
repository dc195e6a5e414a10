"""Scans as they are worked off, on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import ClassVar

import pytest
import sqlalchemy as sa

from services.discovery import store
from services.discovery.actions import scans as scans_module
from services.discovery.actions.scans import Bounds, NewScan, Scans
from services.discovery.connectors import Sighting, Source
from services.discovery.connectors.network import Network, NetworkOptions
from services.discovery.domain.answers import Outcome
from services.discovery.domain.targets import Asked
from services.discovery.service import SCHEMA
from shared.access import Principal
from shared.clock import utc_now
from shared.errors import Conflict, Invalid
from shared.events import Event
from shared.events.discovery import CertificateFound, ScanFinished
from shared.store import Database
from shared.store.plumbing import OUTBOX
from tests.servers.nginx import StartNginx
from tests.servers.processes import free_port
from tests.servers.tls import fingerprint

CALLER = Principal(id="tester", name="tester")
LEASE = timedelta(seconds=60)


def network(timeout: timedelta, concurrency: int) -> Source:
    return Network(NetworkOptions(timeout=timeout, concurrency=concurrency))


def scans_on(database: Database, *, open_source: scans_module.OpenSource = network) -> Scans:
    bounds = Bounds(allow=[], deny=[], max_targets=10_000, misses_until_lost=3, lease=LEASE)
    return Scans(database, bounds=bounds, open_source=open_source, clock=utc_now, ring=lambda: None)


def new(*targets: str, ports: str = "443", exclude: Sequence[str] = ()) -> NewScan:
    return NewScan(targets=targets, ports=ports, exclude=exclude, server_names=[], timeout=1, concurrency=50)


async def emitted(database: Database, event_type: str) -> list[bytes]:
    async with database.read() as session:
        query = sa.select(OUTBOX.c.body).where(OUTBOX.c.type == event_type).order_by(OUTBOX.c.id)
        return list(await session.scalars(query))


async def test_the_tables_in_the_code_are_the_tables_in_the_database(database: Database) -> None:
    assert await SCHEMA.differences(database) == []


async def test_a_scan_finds_what_is_there_and_its_counts_add_up(
    database: Database, start_nginx: StartNginx
) -> None:
    nginx = await asyncio.to_thread(start_nginx)
    scans = scans_on(database)
    ports = f"{nginx.port},{free_port()}"
    scan = await scans.create(
        new("127.0.0.1", "127.0.0.2", ports=ports, exclude=["127.0.0.2"]), caller=CALLER, now=utc_now()
    )
    assert await scans.work(utc_now())
    done = await scans.get(scan.id)
    assert done.state == "finished"
    assert {name: number for name, number in done.counts.items() if number} == {
        "asked": 4,
        "tls": 1,
        "refused": 1,
        "excluded": 2,
    }
    (body,) = await emitted(database, "certificate.found")
    found = Event.parse(body, CertificateFound).data
    assert found.fingerprint == fingerprint(nginx.sites[0].issued.certificate)
    assert found.place.key == f"tls://127.0.0.1:{nginx.port}/"
    (body,) = await emitted(database, "scan.finished")
    assert Event.parse(body, ScanFinished).data.counts.model_dump() == done.counts
    results = await scans.results(scan.id, outcome=Outcome.TLS, after=None, limit=10)
    assert [(row.port, row.fingerprint) for row in results] == [(nginx.port, found.fingerprint)]
    assert not await scans.work(utc_now())


class Interrupted:
    """A source whose process dies after so many looks."""

    kind: ClassVar[str] = "interrupted"

    def __init__(self, looks: int) -> None:
        self.left = looks
        self.looked: list[Asked] = []

    async def look(self, asked: Sequence[Asked]) -> AsyncIterator[Sighting]:
        for one in asked:
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            self.looked.append(one)
            yield Sighting(asked=one, outcome=Outcome.REFUSED)


async def test_a_scan_whose_process_dies_goes_on_where_it_stood(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans_module, "SHARD", 100)
    first, second = Interrupted(250), Interrupted(10_000)
    dying = scans_on(database, open_source=lambda *_: first)
    scan = await dying.create(new("192.0.2.0/24", ports="443-444"), caller=CALLER, now=utc_now())
    with pytest.raises(KeyboardInterrupt):
        await dying.work(utc_now())
    alive = scans_on(database, open_source=lambda *_: second)
    assert not await alive.work(utc_now()), "it is still leased to the process that died"
    assert await alive.work(utc_now() + 2 * LEASE)
    done = await alive.get(scan.id)
    assert (done.state, done.counts["asked"], done.counts["refused"]) == ("finished", 512, 512)
    assert len(second.looked) == 512 - 200, "what was kept is not done again"
    everything = await alive.results(scan.id, outcome=None, after=None, limit=1000)
    assert len({(row.address, row.port) for row in everything}) == 512


async def test_a_cancelled_scan_stops_and_keeps_what_it_has(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans_module, "SHARD", 10)
    scans: Scans

    class Cancelling(Interrupted):
        async def look(self, asked: Sequence[Asked]) -> AsyncIterator[Sighting]:
            async for sighting in super().look(asked):
                yield sighting
            if len(self.looked) == 30:
                await scans.cancel(scan.id, now=utc_now())

    source = Cancelling(10_000)
    scans = scans_on(database, open_source=lambda *_: source)
    scan = await scans.create(new("192.0.2.0/24"), caller=CALLER, now=utc_now())
    await scans.work(utc_now())
    stopped = await scans.get(scan.id)
    assert (stopped.state, stopped.position) == ("cancelled", 20)
    with pytest.raises(Conflict):
        await scans.cancel(scan.id, now=utc_now())


async def test_a_name_nobody_knows_is_refused_and_beside_others_it_is_counted(database: Database) -> None:
    scans = scans_on(database)
    with pytest.raises(Invalid, match="None of the targets can be resolved") as caught:
        await scans.create(new("no-such-host.invalid"), caller=CALLER, now=utc_now())
    assert caught.value.faults[0].pointer == "/body/targets/0"
    scan = await scans.create(
        new("no-such-host.invalid", "127.0.0.1", ports=str(free_port())), caller=CALLER, now=utc_now()
    )
    await scans.work(utc_now())
    done = await scans.get(scan.id)
    assert (done.counts["asked"], done.counts["failed"], done.counts["refused"]) == (2, 1, 1)
    assert list(done.unresolved) == ["no-such-host.invalid"]


async def test_a_place_is_lost_only_after_so_many_misses(database: Database, start_nginx: StartNginx) -> None:
    nginx = await asyncio.to_thread(start_nginx)
    scans = scans_on(database)

    async def scan() -> None:
        await scans.create(new("127.0.0.1", ports=str(nginx.port)), caller=CALLER, now=utc_now())
        await scans.work(utc_now())

    await scan()
    await asyncio.to_thread(nginx.stop)
    await scan()
    await scan()
    assert await emitted(database, "place.lost") == []
    await scan()
    await scan()
    assert len(await emitted(database, "place.lost")) == 1
    async with database.read() as session:
        (place,) = await store.places(session, after=None, limit=10)
    assert place.misses == 4
