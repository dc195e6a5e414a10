"""Scans as they are asked for and worked off, on SQLite and on PostgreSQL."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import anyio
import pytest
import sqlalchemy as sa
from sqlmodel import col

from services.discovery import store
from services.discovery.actions import planning as planning_module
from services.discovery.actions import runs as runs_module
from services.discovery.actions import scans as scans_module
from services.discovery.actions.runs import Runs
from services.discovery.connectors import Prober
from services.discovery.domain.answers import Outcome
from services.discovery.domain.looks import LookOptions
from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import Asked
from services.discovery.service import SCHEMA
from shared.clock import utc_now
from shared.errors import Conflict, Invalid, TooLarge
from shared.events import Event
from shared.events.discovery import CertificateFound, ScanFinished
from shared.store import Database
from shared.store.plumbing import OUTBOX
from tests.discovery.lookout import CALLER, LEASE, bounds, new, runs_on, scans_on, work_off, work_on
from tests.servers.nginx import StartNginx
from tests.servers.processes import free_port
from tests.servers.tls import fingerprint


async def emitted(database: Database, event_type: str) -> list[bytes]:
    async with database.read() as session:
        query = sa.select(OUTBOX.c.body).where(OUTBOX.c.type == event_type).order_by(OUTBOX.c.id)
        return list(await session.scalars(query))


async def test_the_tables_in_the_code_are_the_tables_in_the_database(database: Database) -> None:
    assert await SCHEMA.differences(database) == []


async def parts_of(database: Database, scan_id: str) -> dict[str, int]:
    """Return a scan's counts that are not nought; they add up, and every place has one result."""
    scan = await scans_on(database).get(scan_id, caller=CALLER)
    counts = scan.counts
    assert counts["asked"] == sum(counts[outcome] for outcome in Outcome)
    assert counts["found"] == counts["new"] + counts["known"] + counts["changed"]
    rows = await scans_on(database).results(scan_id, outcome=None, after=None, limit=10_000, caller=CALLER)
    numbers = [row.number for row in rows]
    assert len(set(numbers)) == len(numbers) == counts["asked"], "every place that was done has one result"
    if scan.state == "finished":
        assert numbers == list(range(len(rows)))
    outcomes = {"asked", *Outcome}
    return {name: number for name, number in counts.items() if number and name in outcomes}


async def test_a_scan_finds_what_is_there_and_its_counts_add_up(
    database: Database, start_nginx: StartNginx
) -> None:
    nginx = await asyncio.to_thread(start_nginx)
    scans = scans_on(database)
    ports = f"{nginx.port},{free_port()}"
    scan = await scans.create(
        new("127.0.0.1", "127.0.0.2", ports=ports, exclude=["127.0.0.2"]), caller=CALLER, now=utc_now()
    )
    assert await work_off(database)
    done = await scans.get(scan.id, caller=CALLER)
    assert (done.state, done.position) == ("finished", 4)
    assert await parts_of(database, scan.id) == {"asked": 4, "tls": 1, "refused": 1, "excluded": 2}
    (body,) = await emitted(database, "certificate.found")
    found = Event.parse(body, CertificateFound).data
    assert found.fingerprint == fingerprint(nginx.sites[0].issued.certificate)
    assert found.place.key == f"tls://127.0.0.1:{nginx.port}/"
    (body,) = await emitted(database, "scan.finished")
    assert Event.parse(body, ScanFinished).data.counts.model_dump() == done.counts
    results = await scans.results(scan.id, outcome=Outcome.TLS, after=None, limit=10, caller=CALLER)
    assert [(row.port, row.fingerprint) for row in results] == [(nginx.port, found.fingerprint)]
    assert not await work_off(database)


async def test_what_is_asked_for_twice_is_counted_twice(database: Database) -> None:
    scans = scans_on(database)
    targets = ["127.0.0.1", "127.0.0.0/30", "127.0.0.1-2"]
    scan = await scans.create(new(*targets, ports=str(free_port())), caller=CALLER, now=utc_now())
    await work_off(database)
    counts = await parts_of(database, scan.id)
    assert counts["asked"] == scan.total == 7
    assert counts["refused"] + counts.get("failed", 0) == 7


class Scripted:
    """A source that refuses everything, and at one place does what it is told."""

    kind: ClassVar[str] = "scripted"

    def __init__(self, stop_at: int | None = None, *, stop: Exception | None = None) -> None:
        self.looked: list[Asked] = []
        self.stopped = anyio.Event()
        self.go_on = anyio.Event()
        self._stop_at = stop_at
        self._stop = stop

    async def look(self, asked: Iterable[Asked]) -> AsyncGenerator[Sighting]:
        for one in asked:
            if len(self.looked) == self._stop_at:
                self.stopped.set()
                if self._stop is not None:
                    raise self._stop
                await self.go_on.wait()
            self.looked.append(one)
            yield Sighting(asked=one, outcome=Outcome.REFUSED)


def scripted_on(database: Database, source: Prober) -> Runs:
    return Runs(database, bounds=bounds(), open_prober=lambda *_: source, clock=utc_now)


async def begin(runs: Runs, tasks: anyio.abc.TaskGroup) -> None:
    claim = await runs.claim(now=utc_now())
    assert claim is not None
    tasks.start_soon(runs.run, claim)


@pytest.mark.parametrize("in_the_middle", [True, False])
async def test_a_scan_that_is_interrupted_goes_on_where_it_stood(
    database: Database, monkeypatch: pytest.MonkeyPatch, in_the_middle: bool
) -> None:
    monkeypatch.setattr(runs_module, "BATCH", 100)
    first, second = Scripted(250 if in_the_middle else 200), Scripted()
    scan = await scans_on(database).create(new("192.0.2.0/24", ports="443-444"), caller=CALLER, now=utc_now())
    async with anyio.create_task_group() as tasks:
        await begin(scripted_on(database, first), tasks)
        await first.stopped.wait()
        assert await runs_on(database).claim(now=utc_now()) is None, "it is leased"
        tasks.cancel_scope.cancel()
    assert await work_off(database, scripted_on(database, second))
    assert await parts_of(database, scan.id) == {"asked": 512, "refused": 512}
    assert len(second.looked) == 512 - 200, "what was kept is not done again"
    assert len(await emitted(database, "scan.finished")) == 1


@asynccontextmanager
async def replica(database: Database) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another process that works scans off."""
    url = database.url.set(drivername=database.url.get_backend_name()).render_as_string(hide_password=False)
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.discovery.lookout", url),
        cwd=Path(__file__).parents[3],
        stderr=subprocess.PIPE,
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


async def holders(database: Database, scan_id: str) -> list[store.Shard]:
    async with database.read() as session:
        query = sa.select(store.Shard).where(
            col(store.Shard.scan_id) == scan_id, col(store.Shard.lease).is_not(None)
        )
        return list(await session.scalars(query))


async def test_replicas_share_a_scan_and_one_that_is_killed_leaves_nothing_out(
    database: Database, start_nginx: StartNginx
) -> None:
    nginx = await asyncio.to_thread(start_nginx)
    scans = scans_on(database)
    ports = f"{nginx.port},{free_port()}"
    scan = await scans.create(new("127.0.0.0/20", ports=ports), caller=CALLER, now=utc_now())
    async with replica(database) as killed, replica(database) as other:
        with anyio.fail_after(60):
            while len(held := await holders(database, scan.id)) < 2 or not any(
                s.position % 1024 for s in held
            ):
                assert killed.returncode is None, await killed.communicate()
                await anyio.sleep(0.01)
            os.kill(killed.pid, signal.SIGKILL)
            await other.wait()
    left = await scans.get(scan.id, caller=CALLER)
    assert left.state == "running"
    (piece,) = await holders(database, scan.id)
    assert left.position == 8192 - (piece.end - piece.position), "the other did all that was not held"
    assert not await work_off(database), "the piece is leased to the process that was killed"
    assert await work_off(database, at=utc_now() + 2 * LEASE)
    counts = await parts_of(database, scan.id)
    assert counts["asked"] == 8192
    finds = [
        Event.parse(body, CertificateFound).data for body in await emitted(database, "certificate.found")
    ]
    assert len({found.place.key for found in finds}) == len(finds) == counts["tls"]
    assert len(await emitted(database, "scan.finished")) == 1


async def test_sharers_keep_the_limits_of_their_scan_together(database: Database) -> None:
    options: list[LookOptions] = []

    def opened(given: LookOptions) -> Prober:
        options.append(given)
        return Scripted(10)

    runs = Runs(database, bounds=bounds(), open_prober=opened, clock=utc_now)
    asked = replace(new("192.0.2.0/24", ports="1-16"), per_host=3, per_network=20, rate=9.0)
    await scans_on(database).create(asked, caller=CALLER, now=utc_now())
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            await begin(runs, tasks)
        assert await runs.claim(now=utc_now()) is None, "a fourth could open no connection to any host"
        with anyio.fail_after(60):
            while [each.sharers.number for each in options] != [3, 3, 3]:
                await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()
    shares = [each.share() for each in options]
    assert [(each.per_host, each.per_network, each.rate) for each in shares] == [(1, 6, 3.0)] * 3


async def test_a_paused_scan_rests_and_resumes_where_it_stood(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_module, "BATCH", 100)
    first, second, scans = Scripted(250), Scripted(), scans_on(database)
    began = utc_now()
    scan = await scans.create(new("192.0.2.0/24", ports="443-444"), caller=CALLER, now=began)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            await begin(scripted_on(database, first), tasks)
            await first.stopped.wait()
            assert (await scans.pause(scan.id, caller=CALLER, now=utc_now())).state == "paused"
    assert not await work_off(database), "nobody works on a paused scan, and nobody waits for a lease"
    with pytest.raises(Conflict):
        await scans.pause(scan.id, caller=CALLER, now=utc_now())
    resumed = await scans.resume(scan.id, caller=CALLER, now=utc_now() + timedelta(hours=1))
    assert (resumed.state, resumed.position) == ("running", 200)
    assert resumed.active < 60, "the hour it rested does not count"
    with pytest.raises(Conflict):
        await scans.resume(scan.id, caller=CALLER, now=utc_now())
    assert await work_off(database, scripted_on(database, second))
    assert await parts_of(database, scan.id) == {"asked": 512, "refused": 512}
    assert len(second.looked) == 512 - 200


async def test_a_scan_may_be_paused_before_it_begins_and_cancelled_while_it_rests(database: Database) -> None:
    scans = scans_on(database)
    scan = await scans.create(new("192.0.2.0/30"), caller=CALLER, now=utc_now())
    assert (await scans.pause(scan.id, caller=CALLER, now=utc_now())).state == "paused"
    assert not await work_off(database)
    assert (await scans.resume(scan.id, caller=CALLER, now=utc_now())).state == "queued"
    await scans.pause(scan.id, caller=CALLER, now=utc_now())
    assert (await scans.cancel(scan.id, caller=CALLER, now=utc_now())).state == "cancelled"
    assert not await work_off(database)


async def test_names_known_for_an_address_are_asked_for_and_every_virtual_host_is_found(
    database: Database, start_nginx: StartNginx
) -> None:
    nginx = await asyncio.to_thread(start_nginx, "a.test", "b.test", "c.test")
    async with database.transaction() as tx:
        pairs = [("b.test", "127.0.0.1"), ("c.test", "127.0.0.1"), ("c.test", "192.0.2.1")]
        await store.remember_names(tx, pairs, origin="transparency", now=utc_now())
    asked = replace(new("127.0.0.1", ports=str(nginx.port)), does_fan_out=True)
    scan = await scans_on(database).create(asked, caller=CALLER, now=utc_now())
    await work_off(database)
    done = await scans_on(database).get(scan.id, caller=CALLER)
    counts = await parts_of(database, scan.id)
    assert (done.state, counts["tls"]) == ("finished", counts["asked"])
    results = await scans_on(database).results(scan.id, outcome=None, after=None, limit=100, caller=CALLER)
    shown = {row.server_name: row.fingerprint for row in results}
    sites = {site.server_name: site.issued.fingerprint for site in nginx.sites}
    assert shown[None] == shown["a.test"] == sites["a.test"], "its name is in the certificate it shows first"
    assert {name: shown[name] for name in sites} == sites
    async with database.read() as session:
        places = await store.list_places(session, after=None, limit=10)
    assert {place.server_name for place in places} == {None, "b.test", "c.test"}, "a.test shows nothing else"


async def test_all_names_known_under_a_suffix_are_a_target(database: Database) -> None:
    async with database.transaction() as tx:
        pairs = [("localhost", ""), ("no.such.localhost.invalid", ""), ("other.test", "")]
        await store.remember_names(tx, pairs, origin="transparency", now=utc_now())
    targets = ["*.localhost", "*.invalid", "*.nobody.test"]
    scan = await scans_on(database).create(
        new(*targets, ports=str(free_port())), caller=CALLER, now=utc_now()
    )
    await work_off(database)
    done = await scans_on(database).get(scan.id, caller=CALLER)
    assert done.state == "finished"
    assert done.unresolved["*.nobody.test"] == "no name under it is known yet"
    assert set(done.unresolved) == {"*.nobody.test", "no.such.localhost.invalid"}
    results = await scans_on(database).results(
        scan.id, outcome=Outcome.REFUSED, after=None, limit=10, caller=CALLER
    )
    assert {row.server_name for row in results} == {"localhost"}


async def test_a_process_that_lost_its_lease_keeps_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_module, "BATCH", 10)
    slow, fast = Scripted(25), Scripted()
    scan = await scans_on(database).create(new("192.0.2.0/25"), caller=CALLER, now=utc_now())
    async with anyio.create_task_group() as tasks:
        await begin(scripted_on(database, slow), tasks)
        await slow.stopped.wait()
        assert await work_off(database, scripted_on(database, fast), at=utc_now() + 2 * LEASE)
    assert await parts_of(database, scan.id) == {"asked": 128, "refused": 128}
    assert len(fast.looked) == 108


async def test_a_process_that_was_slow_leaves_the_scan_to_who_holds_it_now(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_module, "BATCH", 10)
    slow = Scripted(25)
    scan = await scans_on(database).create(new("192.0.2.0/25"), caller=CALLER, now=utc_now())
    async with anyio.create_task_group() as tasks:
        await begin(scripted_on(database, slow), tasks)
        await slow.stopped.wait()
        assert await runs_on(database).claim(now=utc_now() + 2 * LEASE) is not None
        slow.go_on.set()
    held = await scans_on(database).get(scan.id, caller=CALLER)
    assert (held.state, held.position) == ("running", 20)


async def test_after_a_restart_of_the_only_process_nobody_waits_for_a_lease(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/one.db", source="discovery")
    await SCHEMA.upgrade(database)
    await scans_on(database).create(new("127.0.0.1"), caller=CALLER, now=utc_now())
    assert await work_on(database).claim(now=utc_now()) is not None
    assert await work_on(database).claim(now=utc_now()) is None
    await work_on(database).forget_leases()
    assert await work_on(database).claim(now=utc_now()) is not None
    await database.close()


async def test_a_cancelled_scan_stops_looking_and_keeps_what_it_has(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_module, "BATCH", 10)
    source, scans = Scripted(25), scans_on(database)
    scan = await scans.create(new("192.0.2.0/24"), caller=CALLER, now=utc_now())
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            await begin(scripted_on(database, source), tasks)
            await source.stopped.wait()
            assert (await scans.cancel(scan.id, caller=CALLER, now=utc_now())).state == "cancelled"
    assert await parts_of(database, scan.id) == {"asked": 20, "refused": 20}
    (body,) = await emitted(database, "scan.finished")
    told = Event.parse(body, ScanFinished).data
    assert (told.state, told.counts.asked) == ("cancelled", 20)
    with pytest.raises(Conflict):
        await scans.cancel(scan.id, caller=CALLER, now=utc_now())


async def test_an_error_of_the_database_leaves_the_scan_to_be_taken_up_again(database: Database) -> None:
    away = sa.exc.OperationalError("", None, Exception())
    scan = await scans_on(database).create(new("192.0.2.0/29"), caller=CALLER, now=utc_now())
    assert await work_off(database, scripted_on(database, Scripted(3, stop=away)))
    assert (await scans_on(database).get(scan.id, caller=CALLER)).state == "running"
    with pytest.raises(BaseExceptionGroup):
        await work_off(
            database, scripted_on(database, Scripted(3, stop=ZeroDivisionError())), at=utc_now() + 2 * LEASE
        )
    assert await work_off(database, at=utc_now() + 4 * LEASE)
    assert (await parts_of(database, scan.id))["asked"] == 8


async def test_a_name_nobody_knows_is_refused_and_beside_others_it_is_counted(database: Database) -> None:
    scans = scans_on(database)
    with pytest.raises(Invalid, match="None of the targets can be resolved") as caught:
        await scans.create(new("no-such-host.invalid"), caller=CALLER, now=utc_now())
    assert caught.value.faults[0].pointer == "/body/targets/0"
    scan = await scans.create(
        new("no-such-host.invalid", "127.0.0.1", ports=str(free_port())), caller=CALLER, now=utc_now()
    )
    await work_off(database)
    assert await parts_of(database, scan.id) == {"asked": 2, "failed": 1, "refused": 1}
    (row,) = await scans.results(scan.id, outcome=Outcome.FAILED, after=None, limit=10, caller=CALLER)
    assert (row.address, row.port) == ("no-such-host.invalid", None)
    assert "not resolved" in row.reason


@pytest.mark.parametrize("targets", [["no-such-host.invalid"], ["no-such-host.invalid", "localhost"]])
async def test_many_names_are_resolved_while_nobody_waits(
    database: Database, monkeypatch: pytest.MonkeyPatch, targets: list[str]
) -> None:
    monkeypatch.setattr(scans_module, "FEW_HOSTS", 0)
    scans = scans_on(database)
    port = free_port()
    scan = await scans.create(new(*targets, ports=str(port)), caller=CALLER, now=utc_now())
    assert (scan.segments, scan.total) == (None, len(targets))
    await work_off(database)
    done = await scans.get(scan.id, caller=CALLER)
    counts = await parts_of(database, scan.id)
    assert (done.state, counts.pop("failed"), list(done.unresolved)) == ("finished", 1, targets[:1])
    assert counts.pop("asked") == 1 + sum(counts.values())
    assert bool(counts) == ("localhost" in targets)


async def test_names_with_more_addresses_than_a_scan_may_ask_end_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def many(hosts: Iterable[str]) -> tuple[dict[str, list[str]], dict[str, str]]:
        return {host: [f"192.0.2.{n}" for n in range(60)] for host in hosts}, {}

    monkeypatch.setattr(scans_module, "FEW_HOSTS", 0)
    monkeypatch.setattr(planning_module, "resolve", many)
    scans = scans_on(database)
    scan = await scans.create(new("large.test", ports="1-200"), caller=CALLER, now=utc_now())
    await work_off(database)
    done = await scans.get(scan.id, caller=CALLER)
    assert done.state == "failed"
    assert "12,000 places" in (done.error or "")
    (body,) = await emitted(database, "scan.finished")
    assert Event.parse(body, ScanFinished).data.state == "failed"
    with pytest.raises(TooLarge):
        await scans.create(new("large.test", ports="1-20000"), caller=CALLER, now=utc_now())


async def test_results_are_forgotten_and_counts_are_kept(database: Database) -> None:
    scans = scans_on(database)
    scan = await scans.create(new("127.0.0.1", ports="1-3"), caller=CALLER, now=utc_now())
    await work_off(database)
    await runs_on(database).forget_results(now=utc_now() + timedelta(days=29))
    assert len(await scans.results(scan.id, outcome=None, after=None, limit=10, caller=CALLER)) == 3
    await runs_on(database).forget_results(now=utc_now() + timedelta(days=31))
    assert await scans.results(scan.id, outcome=None, after=None, limit=10, caller=CALLER) == []
    assert (await scans.get(scan.id, caller=CALLER)).counts["asked"] == 3


async def test_a_place_is_lost_only_after_so_many_misses(database: Database, start_nginx: StartNginx) -> None:
    nginx = await asyncio.to_thread(start_nginx)

    async def scan() -> None:
        await scans_on(database).create(new("127.0.0.1", ports=str(nginx.port)), caller=CALLER, now=utc_now())
        await work_off(database)

    await scan()
    await asyncio.to_thread(nginx.stop)
    await scan()
    await scan()
    assert await emitted(database, "place.lost") == []
    await scan()
    await scan()
    assert len(await emitted(database, "place.lost")) == 1
    async with database.read() as session:
        (place,) = await store.list_places(session, after=None, limit=10)
    assert place.misses == 4
    await asyncio.to_thread(nginx.start)
    await scan()
    async with database.read() as session:
        (place,) = await store.list_places(session, after=None, limit=10)
    assert place.misses == 0
