"""How long a publicly trusted TLS certificate may last, by the day it is issued on.

CA/Browser Forum, Baseline Requirements for TLS Server Certificates §6.3.2 (ballot SC-081v3), and §3.2.2.4, §4.2.1 for how long
a validation of a domain may be used again.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """What holds for certificates issued at `begins` or later."""

    begins: datetime
    longest: timedelta
    """Whole days."""
    validation_reuse: timedelta
    """How long a domain that was validated need not be validated again."""


CEILINGS = (
    Ceiling(
        begins=datetime(2020, 9, 1, tzinfo=UTC),
        longest=timedelta(days=398),
        validation_reuse=timedelta(days=398),
    ),
    Ceiling(
        begins=datetime(2026, 3, 15, tzinfo=UTC),
        longest=timedelta(days=200),
        validation_reuse=timedelta(days=200),
    ),
    Ceiling(
        begins=datetime(2027, 3, 15, tzinfo=UTC),
        longest=timedelta(days=100),
        validation_reuse=timedelta(days=100),
    ),
    Ceiling(
        begins=datetime(2029, 3, 15, tzinfo=UTC),
        longest=timedelta(days=47),
        validation_reuse=timedelta(days=10),
    ),
)
"""In the order of their beginning."""


def ceiling(at: datetime) -> Ceiling | None:
    """Return what holds for a certificate that is issued at an instant, or None before the first ceiling here."""
    return max((each for each in CEILINGS if each.begins <= at), key=lambda each: each.begins, default=None)


def ceilings_after(at: datetime) -> tuple[Ceiling, ...]:
    """Return what will come to hold after an instant, the next first."""
    return tuple(each for each in CEILINGS if each.begins > at)


def exceeded(span: timedelta, *, at: datetime) -> tuple[Ceiling, ...]:
    """Return the ceilings, the one in force at an instant and those to come, under which nothing may last so long."""
    now = ceiling(at)
    return tuple(each for each in (now, *ceilings_after(at)) if each is not None and span > each.longest)
