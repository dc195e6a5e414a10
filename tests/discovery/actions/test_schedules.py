"""Scans that repeat, on SQLite and on PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
import sqlalchemy as sa

from services.discovery import store
from services.discovery.actions.schedules import Schedules, Wanted
from services.discovery.domain.schedules import QuietHours
from shared.errors import Conflict, Invalid, NotFound, Stale
from shared.store import Database
from tests.discovery.lookout import CALLER, new, scans_on, work_off
from tests.servers.processes import free_port

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def schedules_on(database: Database) -> Schedules:
    return Schedules(database, scans=scans_on(database))


def hourly(name: str = "hourly", *, target: str = "127.0.0.1", quiet: tuple[QuietHours, ...] = ()) -> Wanted:
    return Wanted(
        name=name,
        scan=new(target, ports=str(free_port())),
        cron=None,
        every=3600,
        timezone="UTC",
        jitter=0,
        quiet_hours=quiet,
        is_enabled=True,
    )


async def scans_of(database: Database) -> list[store.Scan]:
    async with database.read() as session:
        return list(await session.scalars(sa.select(store.Scan).order_by("id")))


async def test_a_scan_is_started_when_it_is_due_and_not_before(database: Database) -> None:
    schedules = schedules_on(database)
    row = await schedules.create(hourly(), caller=CALLER, now=NOON)
    assert row.next_run_at == NOON + HOUR
    assert not await schedules.start_due(NOON + HOUR - timedelta(seconds=1))
    assert await schedules.start_due(NOON + HOUR)
    assert not await schedules.start_due(NOON + HOUR)
    (scan,) = await scans_of(database)
    shown = await schedules.get(row.id, caller=CALLER)
    assert (shown.last_scan_id, scan.schedule_id, scan.state) == (scan.id, row.id, "queued")
    assert shown.next_run_at == NOON + 2 * HOUR
    assert await work_off(database)
    assert (await scans_on(database).get(scan.id, caller=CALLER)).counts["refused"] == 1


async def test_replicas_start_each_occurrence_once(database: Database) -> None:
    for number in range(5):
        await schedules_on(database).create(hourly(str(number)), caller=CALLER, now=NOON)

    async def replica() -> int:
        started = 0
        while await schedules_on(database).start_due(NOON + HOUR):
            started += 1
        return started

    assert sum(await asyncio.gather(*(replica() for _ in range(4)))) == 5
    scans = await scans_of(database)
    assert len({scan.schedule_id for scan in scans}) == len(scans) == 5


async def test_occurrences_missed_while_nothing_ran_are_run_once(database: Database) -> None:
    schedules = schedules_on(database)
    row = await schedules.create(hourly(), caller=CALLER, now=NOON)
    later = NOON + timedelta(days=2, minutes=5)
    assert await schedules.start_due(later)
    assert not await schedules.start_due(later)
    assert (await schedules.get(row.id, caller=CALLER)).next_run_at == NOON + timedelta(days=2, hours=1)
    assert len(await scans_of(database)) == 1


async def test_while_the_scan_before_is_not_done_an_occurrence_is_skipped_and_told(
    database: Database,
) -> None:
    schedules = schedules_on(database)
    row = await schedules.create(hourly(), caller=CALLER, now=NOON)
    await schedules.start_due(NOON + HOUR)
    assert await schedules.start_due(NOON + 2 * HOUR)
    shown = await schedules.get(row.id, caller=CALLER)
    assert (shown.skipped, shown.next_run_at) == (1, NOON + 3 * HOUR)
    assert "was not done" in (shown.last_error or "")
    assert len(await scans_of(database)) == 1
    with pytest.raises(Conflict):
        await schedules.run_now(row.id, caller=CALLER, now=NOON)
    await work_off(database)
    assert await schedules.start_due(NOON + 3 * HOUR)
    assert (await schedules.get(row.id, caller=CALLER)).last_error is None


async def test_a_start_that_fails_is_told_and_tried_at_the_next_occurrence(database: Database) -> None:
    schedules = schedules_on(database)
    row = await schedules.create(hourly(), caller=CALLER, now=NOON)
    async with database.transaction() as tx:
        held = await store.schedule_to_update(tx, row.id)
        assert held is not None
        held.scan = {**held.scan, "ports": "no port"}
    assert await schedules.start_due(NOON + HOUR)
    shown = await schedules.get(row.id, caller=CALLER)
    assert "is not a port" in (shown.last_error or "")
    assert (shown.next_run_at, await scans_of(database)) == (NOON + 2 * HOUR, [])


async def test_a_scan_rests_in_quiet_hours_and_goes_on_after_them(database: Database) -> None:
    schedules, scans = schedules_on(database), scans_on(database)
    quiet = (QuietHours(start=time(14), end=time(16)),)
    row = await schedules.create(hourly(quiet=quiet), caller=CALLER, now=NOON)
    await schedules.start_due(NOON + HOUR)
    (scan,) = await scans_of(database)
    assert not await schedules.rest(NOON + HOUR)
    assert await schedules.rest(NOON + 2 * HOUR)
    assert not await schedules.rest(NOON + 2 * HOUR)
    assert (await scans.get(scan.id, caller=CALLER)).state == "paused"
    assert (await schedules.get(row.id, caller=CALLER)).is_resting
    assert await schedules.rest(NOON + 4 * HOUR)
    assert (await scans.get(scan.id, caller=CALLER)).state == "queued"


async def test_who_resumes_or_starts_a_scan_in_quiet_hours_means_it(database: Database) -> None:
    schedules, scans = schedules_on(database), scans_on(database)
    quiet = (QuietHours(start=time(14), end=time(16)),)
    row = await schedules.create(hourly(quiet=quiet), caller=CALLER, now=NOON)
    await schedules.start_due(NOON + HOUR)
    (scan,) = await scans_of(database)
    await schedules.rest(NOON + 2 * HOUR)
    await scans.resume(scan.id, caller=CALLER, now=NOON + 2 * HOUR)
    assert not await schedules.rest(NOON + 2 * HOUR + timedelta(minutes=1))
    await scans.cancel(scan.id, caller=CALLER, now=NOON + 2 * HOUR)
    await schedules.run_now(row.id, caller=CALLER, now=NOON + 3 * HOUR)
    assert not await schedules.rest(NOON + 3 * HOUR + timedelta(minutes=1))


async def test_a_run_that_would_come_in_quiet_hours_comes_after_them(database: Database) -> None:
    quiet = (QuietHours(start=time(12, 30), end=time(18)),)
    row = await schedules_on(database).create(hourly(quiet=quiet), caller=CALLER, now=NOON)
    assert row.next_run_at == NOON + 6 * HOUR


async def test_a_schedule_is_replaced_disabled_and_deleted(database: Database) -> None:
    schedules = schedules_on(database)
    row = await schedules.create(hourly(), caller=CALLER, now=NOON)
    daily = replace(hourly("daily"), every=None, cron="0 3 * * *")
    changed = await schedules.replace(row.id, daily, expected=1, caller=CALLER, now=NOON)
    assert (changed.name, changed.version, changed.next_run_at.hour) == ("daily", 2, 3)
    with pytest.raises(Stale):
        await schedules.replace(row.id, daily, expected=1, caller=CALLER, now=NOON)
    await schedules.replace(row.id, replace(daily, is_enabled=False), expected=2, caller=CALLER, now=NOON)
    assert not await schedules.start_due(NOON + timedelta(days=2))
    await schedules.delete(row.id, caller=CALLER)
    with pytest.raises(NotFound):
        await schedules.get(row.id, caller=CALLER)


async def test_what_cannot_be_scanned_or_is_named_twice_is_refused_at_once(database: Database) -> None:
    schedules = schedules_on(database)
    await schedules.create(hourly("one"), caller=CALLER, now=NOON)
    with pytest.raises(Conflict, match="of that name"):
        await schedules.create(hourly("one"), caller=CALLER, now=NOON)
    with pytest.raises(Invalid) as caught:
        await schedules.create(hourly(target="not a target"), caller=CALLER, now=NOON)
    assert caught.value.faults[0].pointer == "/body/targets/0"
