"""The values that a field is compared with: how each kind is read from a word, and written again."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

MOST = 2**31 - 1
"""The largest number that an integer column takes, on every database."""
LONGEST = timedelta(days=36_525)
"""A hundred years: no span is longer, so that none leads out of the calendar."""
_YEARS = range(1900, 9000)

_UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}
_SPAN = re.compile(r"(?P<sign>[+-]?)(?P<count>[0-9]{1,10})(?P<unit>[wdhms])")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(_DATE.pattern + r"[Tt][0-9:.]+(?:[Zz]|[+-][0-9:]+)?")
_NUMBER = re.compile(r"[0-9]{1,10}")
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, kw_only=True)
class Day:
    """A whole day in UTC: before it is before its beginning, after it is after its end."""

    on: date

    @property
    def begins(self) -> datetime:
        """Return its first instant."""
        return datetime(self.on.year, self.on.month, self.on.day, tzinfo=UTC)

    @property
    def ends(self) -> datetime:
        """Return the first instant of the next day."""
        return self.begins + timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """An instant, in UTC."""

    at: datetime


@dataclass(frozen=True, kw_only=True)
class FromNow:
    """An instant that is this far from when the query is asked; before it where the span is negative."""

    span: timedelta


Value = str | int | timedelta | Day | Moment | FromNow
"""Booleans are integers in Python, so they are among these."""


def number(word: str) -> int | None:
    """Read a whole number."""
    return int(word) if _NUMBER.fullmatch(word) and int(word) <= MOST else None


def boolean(word: str) -> bool | None:
    """Read `true` or `false`."""
    return _BOOLEANS.get(word.lower())


def span(word: str) -> timedelta | None:
    """Read a length of time, such as `90d`."""
    found = _signed_span(word)
    return found if found is not None and found >= timedelta() else None


def instant(word: str) -> Day | Moment | FromNow | None:
    """Read a day, an instant, or how far from now it is."""
    if word.lower() == "now":
        return FromNow(span=timedelta())
    away = _signed_span(word)
    if away is not None:
        return FromNow(span=away)
    try:
        return _on_the_calendar(word)
    except (ValueError, OverflowError):
        return None


def _on_the_calendar(word: str) -> Day | Moment | None:
    if _DATE.fullmatch(word):
        on = date.fromisoformat(word)
        return Day(on=on) if on.year in _YEARS else None
    if not _TIME.fullmatch(word):
        return None
    at = datetime.fromisoformat(word.upper())
    at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    return Moment(at=at) if at.year in _YEARS else None


def _signed_span(word: str) -> timedelta | None:
    match = _SPAN.fullmatch(word.lower())
    if match is None:
        return None
    count, unit = int(match["count"]), _UNITS[match["unit"]]
    if count > LONGEST // unit:
        return None
    return -count * unit if match["sign"] == "-" else count * unit


def written(value: Value) -> str:
    """Return the text that the value is read from."""
    return _WRITERS[type(value)](value)


def _written_span(value: timedelta) -> str:
    unit = next(name for name in "dhms" if not value % _UNITS[name])
    return f"{value // _UNITS[unit]}{unit}"


_WRITERS: Mapping[type, Callable[..., str]] = {
    str: str,
    int: str,
    bool: lambda value: str(value).lower(),
    timedelta: _written_span,
    Day: lambda value: value.on.isoformat(),
    Moment: lambda value: value.at.isoformat().replace("+00:00", "Z"),
    FromNow: lambda value: _written_span(value.span) if value.span else "now",
}
