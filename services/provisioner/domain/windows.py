"""When a target may be changed: weekly windows in a time zone of their own, and freezes; one pure function over both."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from services.provisioner.domain import Hold
from shared.errors import Invalid

LONGEST = timedelta(days=7)
"""A window that is open for longer is always open."""
_BEFORE, _AFTER = 8, 9
"""Days around an instant in which the window that it is in has begun, and the next one begins."""


@dataclass(frozen=True, kw_only=True)
class Weekly:
    """It opens every week on this day (Monday is 0) at this time on the wall, and stays open for `duration` of real time."""

    day: int
    start: time
    duration: timedelta


@dataclass(frozen=True, kw_only=True)
class Window:
    """A target may be changed only while one of its windows is open."""

    name: str
    time_zone: str
    weekly: Sequence[Weekly]


@dataclass(frozen=True, kw_only=True)
class Freeze:
    """Nothing is changed from `starts_at` up to, and without, `ends_at`."""

    reason: str
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, kw_only=True)
class Opening:
    """The first instant at which a target may be changed, and what stands in the way until then; nothing: it is now."""

    at: datetime
    hold: Hold | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Span:
    start: datetime
    end: datetime


def read_time_zone(name: str) -> str:
    """Return the name of a time zone of the IANA database. Raises `Invalid`."""
    try:
        return ZoneInfo(name).key
    except (ValueError, OSError, LookupError) as error:
        raise Invalid(
            f"There is no time zone {name!r}.", next_step="Use a name such as Europe/Berlin or UTC."
        ) from error


def opening(*, windows: Sequence[Window], freezes: Sequence[Freeze], now: datetime) -> Opening:
    """Return when a target may be changed, `now` or later: no freeze holds, and a window is open where there are any.

    Each step passes a freeze or comes to the start of a window, so it ends after twice as many as there are freezes.
    """
    first = _obstacle(windows, freezes, at=now)
    at, obstacle = now, first
    while obstacle is not None:
        at = obstacle.at
        obstacle = _obstacle(windows, freezes, at=at)
    if first is None:
        return Opening(at=now)
    return Opening(at=at, hold=first.hold, reason=first.reason)


def _obstacle(windows: Sequence[Window], freezes: Sequence[Freeze], *, at: datetime) -> Opening | None:
    """Return what stands in the way at an instant, and until when it does at least."""
    for freeze in freezes:
        if freeze.starts_at <= at < freeze.ends_at:
            return Opening(at=freeze.ends_at, hold=Hold.FREEZE, reason=f"Nothing is changed: {freeze.reason}")
    spans = [span for window in windows for span in _spans(window, around=at)]
    if not windows or any(span.start <= at < span.end for span in spans):
        return None
    names = ", ".join(sorted({window.name for window in windows}))
    return Opening(
        at=min(span.start for span in spans if span.start > at),
        hold=Hold.WINDOW,
        reason=f"No change window is open: {names}.",
    )


def _spans(window: Window, *, around: datetime) -> Iterator[_Span]:
    """Yield when a window is open, from a week before an instant to a week after it.

    Where clocks are put forward over a start it opens that much later on the wall (the offset from before the change
    holds, PEP 495 `fold=0`); where they are put back over it, it opens the first of the two times.
    """
    zone = ZoneInfo(window.time_zone)
    today = around.astimezone(zone).date()
    for offset in range(-_BEFORE, _AFTER):
        day = today + timedelta(days=offset)
        for weekly in window.weekly:
            if weekly.day == day.weekday():
                start = datetime.combine(day, weekly.start, zone).astimezone(UTC)
                yield _Span(start=start, end=start + weekly.duration)


def check_weekly(weekly: Iterable[Weekly]) -> None:
    """Raise `Invalid` for what is never open, or always."""
    for each in weekly:
        if not timedelta() < each.duration <= LONGEST:
            raise Invalid(
                "A window is open for more than no time, and for a week at most.",
                next_step="Give a duration such as PT4H.",
            )
