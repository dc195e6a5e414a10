"""What becomes of a telling, and when it is tried again."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

LONGEST_WAIT = timedelta(hours=24)
_JITTER = 0.1
_LATE = timedelta(seconds=1)
"""We look for what is due from time to time only: what was missed by so little is made up for."""


class DeliveryState(StrEnum):
    """What became of a telling."""

    PENDING = "pending"
    GATHERED = "gathered"
    """It is in a digest, which is a delivery of its own."""
    DELIVERED = "delivered"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
    """It was over before it was to be told."""


WAITING = (DeliveryState.PENDING, DeliveryState.GATHERED)
"""Nobody has been told yet, and it goes on."""


def next_attempt(
    attempts: int, *, waits: Sequence[timedelta], retry_after: timedelta | None, jitter: float, now: datetime
) -> datetime | None:
    """Return when to try again after so many failed attempts, or None where it was the last.

    `waits` are those between the attempts (Standard Webhooks: 5 s … 24 h), so there is one attempt
    more than waits. The receiver's `Retry-After` is honoured, up to a day. `jitter` is a random
    number from 0 to 1 that lengthens the wait by up to a tenth, so that channels don't come back in step.
    """
    if attempts > len(waits):
        return None
    wait = max(waits[attempts - 1], min(retry_after or timedelta(), LONGEST_WAIT))
    return now + wait * (1 + _JITTER * jitter)


def rested(before: datetime | None, *, per_minute: int, now: datetime) -> datetime:
    """Return until when a channel rests that sends now, so that it sends at most so much in a minute, evenly spaced.

    `before` is until when it has rested last.
    """
    start = now if before is None else max(before, now - _LATE)
    return start + timedelta(minutes=1) / per_minute
