"""When a place that ought to change is looked at again."""

from datetime import datetime, timedelta

AFTER_DEPLOYMENT = timedelta(seconds=1)
"""A server that was reloaded lets its old workers answer a moment longer: not a finding yet."""
AFTER_RENEWAL = timedelta(minutes=10)
"""Something other than the provisioner may put a renewed certificate in place."""
WAITS = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(days=1),
    timedelta(days=7),
)
MOST_LOOKS = 20
"""After so many looks, which is a quarter of a year, the ordinary scans must do."""
MISSES_APART = timedelta(minutes=1)
"""Looks that follow closer than this on a miss say only once that a place is gone: it may be restarting."""


def next_look(looks: int, *, now: datetime) -> datetime | None:
    """Return when to look again after `looks` looks in vain; None where enough is enough."""
    if looks >= MOST_LOOKS:
        return None
    return now + WAITS[min(looks, len(WAITS)) - 1]


def is_another_miss(last: datetime | None, *, now: datetime) -> bool:
    """Return whether a look in vain counts, given when the last one that counted was."""
    return last is None or now - last >= MISSES_APART
