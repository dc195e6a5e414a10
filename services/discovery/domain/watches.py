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
)
MOST_LOOKS = 40
"""After so many looks, more than a month, the ordinary scans must do."""


def next_look(looks: int, *, now: datetime) -> datetime | None:
    """Return when to look again after `looks` looks in vain; None where enough is enough."""
    if looks >= MOST_LOOKS:
        return None
    return now + WAITS[min(looks, len(WAITS)) - 1]
