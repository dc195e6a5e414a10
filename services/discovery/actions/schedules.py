"""Scans that repeat: asked for, started when they are due, and resting in quiet hours."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import IntegrityError

from services.discovery import store
from services.discovery.actions.plans import MOST_REASON
from services.discovery.actions.scans import OPEN, NewScan, Scans
from services.discovery.domain.schedules import (
    QuietHours,
    Timing,
    check,
    describe,
    next_run,
    quiet_until,
    read_hours,
    read_zone,
)
from shared.access import Principal
from shared.errors import Conflict, Invalid, NotFound, Stale, TooLarge
from shared.groups import listed
from shared.ids import new_id
from shared.store import Database, Transaction

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A schedule as the caller wrote it; durations in seconds."""

    name: str
    scan: NewScan
    cron: str | None
    every: float | None
    timezone: str
    jitter: float
    quiet_hours: tuple[QuietHours, ...]
    is_enabled: bool
    groups: Sequence[str] | None = None
    """None leaves them as they are."""


class Schedules:
    """What callers do with schedules, and what the clock does."""

    def __init__(self, database: Database, *, scans: Scans) -> None:
        self._database = database
        self._scans = scans

    async def create(self, wanted: Wanted, *, caller: Principal, now: datetime) -> store.Schedule:
        """Keep a schedule. Raises `Invalid` with a pointer, `TooLarge`, `Forbidden`, and `Conflict` where the name is taken."""
        row = store.Schedule(
            id=new_id(),
            created_at=now,
            created_by=caller.name,
            groups=listed(caller.grouped(wanted.groups or ())),
            next_occurrence=now,
            next_run_at=now,
            **self._columns(wanted, now=now),
        )
        _plan_next(row, after=now)
        async with self._database.transaction() as tx:
            tx.session.add(row)
            await _flush(tx)
        return row

    def _columns(self, wanted: Wanted, *, now: datetime) -> dict[str, Any]:
        self._scans.check(wanted.scan, now=now)
        check(_timing_of(wanted, since=now))
        return {
            "name": wanted.name,
            "scan": wanted.scan.row(),
            "cron": wanted.cron,
            "every": wanted.every,
            "timezone": wanted.timezone,
            "jitter": wanted.jitter,
            "quiet_hours": describe(wanted.quiet_hours),
            "is_enabled": wanted.is_enabled,
            "updated_at": now,
        }

    async def get(self, schedule_id: str, *, caller: Principal) -> store.Schedule:
        """Return a schedule. Raises `NotFound`."""
        async with self._database.read() as session:
            return _seen(await session.get(store.Schedule, schedule_id), caller=caller)

    async def page(self, *, after: str | None, limit: int, caller: Principal) -> Sequence[store.Schedule]:
        """Return up to `limit + 1` schedules that the caller sees, newest first."""
        async with self._database.read() as session:
            return await store.list_schedules(session, after=after, limit=limit, scope=caller.scope)

    async def replace(
        self, schedule_id: str, wanted: Wanted, *, expected: int, caller: Principal, now: datetime
    ) -> store.Schedule:
        """Run otherwise from here on; a scan that goes on is left alone. Raises as `create`, and `Stale`."""
        columns = self._columns(wanted, now=now)
        async with self._database.transaction() as tx:
            row = _seen(await store.schedule_to_update(tx, schedule_id), caller=caller)
            if row.version != expected:
                raise Stale("The schedule was changed since you read it.", next_step="Read it again.")
            for name, value in columns.items():
                setattr(row, name, value)
            if wanted.groups is not None:
                row.groups = listed(caller.grouped(wanted.groups, before=row.groups))
            row.version += 1
            _plan_next(row, after=now)
            await _flush(tx)
        log.info("schedule.changed", schedule=schedule_id, by=caller.id)
        return row

    async def delete(self, schedule_id: str, *, caller: Principal) -> None:
        """Run it no more; its scans stay. Raises `NotFound`."""
        async with self._database.transaction() as tx:
            await tx.session.delete(_seen(await store.schedule_to_update(tx, schedule_id), caller=caller))
        log.info("schedule.removed", schedule=schedule_id, by=caller.id)

    async def run_now(self, schedule_id: str, *, caller: Principal, now: datetime) -> store.Scan:
        """Start its scan beside the clock, in quiet hours too. Raises `NotFound`, and `Conflict` while one goes on."""
        async with self._database.transaction() as tx:
            row = _seen(await store.schedule_to_update(tx, schedule_id), caller=caller)
            if await _goes_on(tx, row):
                raise Conflict(
                    "Its last scan is not done.", next_step="Wait for it, or cancel it: see `last_scan_id`."
                )
            return await self._start(tx, row, now=now)

    async def start_due(self, now: datetime) -> bool:
        """Start the scan of the schedule that is due; return whether there was one.

        Scan and next occurrence are kept together, so no occurrence is run twice or forgotten. Those that were
        missed meanwhile are run once.
        """
        async with self._database.read() as session:
            if not await store.is_schedule_due(session, now=now):
                return False
        async with self._database.transaction() as tx:
            row = await store.due_schedule(tx, now=now)
            if row is None:
                return False
            await self._run(tx, row, now=now)
            _plan_next(row, after=max(now, row.next_occurrence))
        return True

    async def _run(self, tx: Transaction, row: store.Schedule, *, now: datetime) -> None:
        if await _goes_on(tx, row):
            row.skipped += 1
            row.last_error = f"not run at {now:%Y-%m-%d %H:%M} UTC: scan {row.last_scan_id} was not done"
            log.warning("schedule.skipped", schedule=row.id, scan_id=row.last_scan_id)
            return
        try:
            await self._start(tx, row, now=now)
        except (Invalid, TooLarge) as error:
            row.last_error = str(error)[:MOST_REASON]
            log.warning("schedule.failed", schedule=row.id, error=row.last_error)

    async def _start(self, tx: Transaction, row: store.Schedule, *, now: datetime) -> store.Scan:
        scan = await self._scans.add(
            tx, NewScan.read(row.scan), groups=row.groups, created_by=row.created_by, now=now
        )
        scan.schedule_id = row.id
        row.last_scan_id, row.last_started_at, row.last_error = scan.id, now, None
        row.is_resting = False
        return scan

    async def rest(self, now: datetime) -> bool:
        """Pause scans of schedules whose quiet hours have begun, and resume them after; return whether there was any."""
        async with self._database.read() as session:
            at_work = await store.schedules_at_work(session)
        did_any = False
        for row, state in at_work:
            is_quiet = _must_rest(row, now=now)
            if is_quiet not in (row.is_resting, state == "paused"):
                did_any |= await self._set_resting(row, is_resting=is_quiet, now=now)
        return did_any

    async def _set_resting(self, row: store.Schedule, *, is_resting: bool, now: datetime) -> bool:
        async with self._database.transaction() as tx:
            held = await store.schedule_to_update(tx, row.id)
            if held is None or held.is_resting == is_resting or held.last_scan_id is None:
                return False
            held.is_resting = is_resting
            move = self._scans.pause_in if is_resting else self._scans.resume_in
            try:
                await move(tx, held.last_scan_id, now=now)
            except Conflict:
                log.info("schedule.left_alone", schedule=row.id, scan_id=row.last_scan_id)
        return True


def _must_rest(row: store.Schedule, *, now: datetime) -> bool:
    timing = timing_of(row)
    # Who starts a scan in the middle of quiet hours means it.
    began_in_them = row.last_started_at is not None and quiet_until(timing, row.last_started_at) is not None
    return quiet_until(timing, now) is not None and not began_in_them


def timing_of(row: store.Schedule) -> Timing:
    """Return when a schedule is due."""
    return Timing(
        cron=row.cron,
        every=timedelta(seconds=row.every) if row.every else None,
        since=row.created_at,
        zone=read_zone(row.timezone),
        jitter=timedelta(seconds=row.jitter),
        quiet_hours=read_hours(row.quiet_hours),
    )


def _timing_of(wanted: Wanted, *, since: datetime) -> Timing:
    return Timing(
        cron=wanted.cron,
        every=timedelta(seconds=wanted.every) if wanted.every else None,
        since=since,
        zone=read_zone(wanted.timezone),
        jitter=timedelta(seconds=wanted.jitter),
        quiet_hours=wanted.quiet_hours,
    )


def _plan_next(row: store.Schedule, *, after: datetime) -> None:
    run = next_run(timing_of(row), after=after, key=row.id)
    if run is None:
        row.is_enabled, row.last_error = False, "it never comes again"
        return
    row.next_occurrence, row.next_run_at = run.occurrence, run.at


async def _goes_on(tx: Transaction, row: store.Schedule) -> bool:
    scan = await tx.session.get(store.Scan, row.last_scan_id) if row.last_scan_id else None
    return scan is not None and scan.state in OPEN


async def _flush(tx: Transaction) -> None:
    try:
        await tx.session.flush()
    except IntegrityError as error:
        raise Conflict("There is a schedule of that name.", next_step="Choose another name.") from error


def _seen(row: store.Schedule | None, *, caller: Principal) -> store.Schedule:
    if row is None or not caller.sees(row.groups):
        raise NotFound("There is no such schedule.", next_step="List schedules to see their ids.")
    return row
