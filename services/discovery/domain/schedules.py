"""When a scan that repeats is due: cron or interval, jitter, and hours in which nobody may look."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from shared.errors import Fault, Invalid

WEEK = tuple(range(7))
MIDNIGHT = time(0)
_MINUTES_OF_A_WEEK = 7 * 24 * 60


@dataclass(frozen=True, kw_only=True)
class QuietHours:
    """From one time of day to another, on the days (Monday is 0) on which they begin; they may pass midnight."""

    start: time
    end: time
    """Where it is not after `start`, it is on the next day."""
    days: tuple[int, ...] = WEEK


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Either `cron` (five fields) or `every` (from `since` on), by the clocks of `zone`."""

    cron: str | None = None
    every: timedelta | None = None
    since: datetime
    zone: ZoneInfo
    jitter: timedelta = timedelta(0)
    """Each run comes up to so much later, always the same for the same occurrence."""
    quiet_hours: tuple[QuietHours, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Run:
    """One occurrence, and the instant it is really due: after its jitter, and after quiet hours."""

    occurrence: datetime
    at: datetime


def check(timing: Timing) -> None:
    """Raise `Invalid`, with a pointer, where it could never come to a run."""
    if (timing.cron is None) == (timing.every is None):
        raise _invalid("/body/cron", "write either `cron` or `every`")
    monday = datetime(2024, 1, 1, tzinfo=timing.zone)
    minutes = (monday + timedelta(minutes=minute) for minute in range(_MINUTES_OF_A_WEEK))
    if all(quiet_until(timing, minute) for minute in minutes):
        raise _invalid("/body/quiet_hours", "they leave no time at all")
    if next_run(timing, after=timing.since, key="") is None:
        raise _invalid("/body/cron", f"{timing.cron!r} never comes")


def read_zone(name: str) -> ZoneInfo:
    """Read the name of a time zone. Raises `Invalid`."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise _invalid("/body/timezone", f"{name!r} is no time zone: write one as Europe/Berlin") from error


def next_run(timing: Timing, *, after: datetime, key: str) -> Run | None:
    """Return the first occurrence after an instant; None where there is none within the next fifty years.

    `key` sets the jitter of one schedule apart from that of others.
    """
    occurrence = _next_occurrence(timing, after=after)
    if occurrence is None:
        return None
    at = occurrence + _jitter(timing, occurrence, key=key)
    while (end := quiet_until(timing, at)) is not None:
        at = end
    return Run(occurrence=occurrence, at=at)


def _next_occurrence(timing: Timing, *, after: datetime) -> datetime | None:
    if timing.every is not None:
        passed = max(timedelta(0), after - timing.since) // timing.every
        return timing.since + (passed + 1) * timing.every
    try:
        found = next(CronSim(timing.cron or "", after.astimezone(timing.zone)))
    except StopIteration:
        return None
    except CronSimError as error:
        message = f"{timing.cron!r} is no cron expression: {error}; write minute hour day month weekday"
        raise _invalid("/body/cron", message) from error
    return found.astimezone(UTC)


def _jitter(timing: Timing, occurrence: datetime, *, key: str) -> timedelta:
    digest = hashlib.sha256(f"{key} {occurrence.isoformat()}".encode()).digest()
    return timing.jitter * (int.from_bytes(digest[:8]) / 2**64)


def quiet_until(timing: Timing, at: datetime) -> datetime | None:
    """Return the end of the quiet hours that an instant lies in; None where it lies in none."""
    local = at.astimezone(timing.zone)
    ends = [
        end
        for hours in timing.quiet_hours
        for days_ago in (0, 1)
        if (end := _end(hours, local, days_ago=days_ago)) is not None
    ]
    return max(ends, default=None)


def _end(hours: QuietHours, local: datetime, *, days_ago: int) -> datetime | None:
    day = local.date() - timedelta(days=days_ago)
    if day.weekday() not in hours.days:
        return None
    last = day if hours.end > hours.start else day + timedelta(days=1)
    start = datetime.combine(day, hours.start, local.tzinfo).astimezone(UTC)
    end = datetime.combine(last, hours.end, local.tzinfo).astimezone(UTC)
    return end if start <= local < end else None


def describe(hours: Sequence[QuietHours]) -> list[dict[str, object]]:
    """Return quiet hours as JSON can hold them."""
    return [
        {"start": f"{each.start:%H:%M}", "end": f"{each.end:%H:%M}", "days": list(each.days)}
        for each in hours
    ]


def read_hours(rows: Sequence[dict[str, object]]) -> tuple[QuietHours, ...]:
    """Return the quiet hours that `describe` has written down."""
    return tuple(
        QuietHours(
            start=time.fromisoformat(str(row["start"])),
            end=time.fromisoformat(str(row["end"])),
            days=tuple(day for day in WEEK if day in row["days"]),  # type: ignore[operator]  # a list, as written
        )
        for row in rows
    )


def _invalid(pointer: str, message: str) -> Invalid:
    return Invalid(
        f"{message}.",
        next_step='Write a cron expression such as "30 2 * * 1-5", or `every` in seconds.',
        faults=[Fault(pointer=pointer, message=message)],
    )
