"""When people are told that a certificate ends: the thresholds of a rule, laid over a lifetime of any length.

Inventory decides how urgent a certificate is for the machinery, which renews it. When people hear of it is theirs to decide,
and is decided here and nowhere else.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.events.notifier import Severity

LARGEST_SHARE = 0.5
"""Inventory tells of a certificate when half of its life is over, so no threshold lies before that."""
END = "end"
"""The threshold that every ladder has beside its own: the certificate has ended."""
_TEXT = re.compile(r"(\d{1,5}(?:\.\d{1,3})?)(%|d|h)(?:=(info|warning|error|critical))?")
_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1)}
_BY_SHARE = ((0.25, Severity.INFO), (0.15, Severity.WARNING), (0.07, Severity.ERROR))
"""What is left, and how bad that is: the shares at which inventory, too, speaks of warning, error and critical."""


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """What is left of a lifetime when people are to be told: a share of it, or a span."""

    text: str
    share: float | None = None
    span: timedelta | None = None
    severity: Severity | None = None
    """How bad it is then, where that is not left to the share of the lifetime that remains."""


@dataclass(frozen=True, kw_only=True)
class Rung:
    """A threshold of one certificate, and the instant at which it is crossed."""

    threshold: str
    at: datetime
    severity: Severity


def read_threshold(text: str) -> Threshold:
    """Read `90d`, `36h`, `33%` or `7d=critical`. Raises `ValueError`."""
    found = _TEXT.fullmatch(text)
    number = float(found[1]) if found else 0.0
    if found is None or number <= 0:
        msg = f"{text!r} is no threshold; write 90d, 36h, 33% or 7d=critical"
        raise ValueError(msg)
    severity = Severity(found[3]) if found[3] else None
    if found[2] != "%":
        return Threshold(text=text, span=number * _UNITS[found[2]], severity=severity)
    if number / 100 > LARGEST_SHARE:
        msg = f"{text!r} is more than half of a lifetime; {LARGEST_SHARE:.0%} is the earliest"
        raise ValueError(msg)
    return Threshold(text=text, share=number / 100, severity=severity)


def ladder(thresholds: Sequence[Threshold], *, not_before: datetime, not_after: datetime) -> tuple[Rung, ...]:
    """Return when each threshold is crossed, the first first; the last one is always the end.

    Where the longest span is more than half of the lifetime, all spans are shortened in proportion: 90, 60, 30 and 7 days are
    23.5, 15.7, 7.8 and 1.8 for a certificate of 47 days. So none is crossed at birth, and each has its turn.
    """
    end = Rung(threshold=END, at=not_after, severity=Severity.CRITICAL)
    lifetime = not_after - not_before
    if lifetime <= timedelta():
        return (end,)
    longest = max((each.span for each in thresholds if each.span is not None), default=timedelta())
    scale = min(1.0, lifetime * LARGEST_SHARE / longest) if longest else 1.0
    rungs = [_rung(each, lifetime=lifetime, scale=scale, not_after=not_after) for each in thresholds]
    return (*sorted(rungs, key=lambda rung: rung.at), end)


def _rung(threshold: Threshold, *, lifetime: timedelta, scale: float, not_after: datetime) -> Rung:
    left = lifetime * threshold.share if threshold.share is not None else (threshold.span or lifetime) * scale
    severity = threshold.severity or _severity(left / lifetime)
    return Rung(threshold=threshold.text, at=not_after - left, severity=severity)


def _severity(share: float) -> Severity:
    return next((severity for above, severity in _BY_SHARE if share > above), Severity.CRITICAL)


def passed(rungs: Sequence[Rung], *, known: Collection[str], now: datetime) -> tuple[Rung, ...]:
    """Return the rungs that are passed and not on record yet, the latest last: that one is told, all go on record.

    What is on record is never told again, so a clock that goes back repeats nothing; and what was passed while nobody looked
    is found at the next look, so an outage skips nothing.
    """
    return tuple(rung for rung in rungs if rung.at <= now and rung.threshold not in known)


def next_look(rungs: Sequence[Rung], *, now: datetime) -> datetime | None:
    """Return when there is something to find again, or None after the end."""
    return min((rung.at for rung in rungs if rung.at > now), default=None)
