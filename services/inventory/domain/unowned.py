"""When it is told that certificates have no owner, and when that it is over: once for all of them."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class Telling(StrEnum):
    """What is to be told now."""

    NOTHING = "nothing"
    BEGAN = "began"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class Queue:
    """What is known of the certificates that nobody owns."""

    since: datetime | None = None
    """Since when there are any, without a break."""
    told_at: datetime | None = None
    told_count: int = 0


def judge(
    queue: Queue, *, count: int, now: datetime, patience: timedelta, again_after: timedelta
) -> tuple[Queue, Telling]:
    """Return the queue as it is from now on, and what is to be told.

    There are any for longer than `patience`: that is told once, and again after `again_after` where
    there are more or fewer by then. None is left: that it is over is told where it was told before.
    """
    if count == 0:
        return Queue(), Telling.ENDED if queue.told_at is not None else Telling.NOTHING
    queue = replace(queue, since=queue.since or now)
    if queue.since is None or now - queue.since < patience:
        return queue, Telling.NOTHING
    is_due = queue.told_at is None or (now - queue.told_at >= again_after and count != queue.told_count)
    if not is_due:
        return queue, Telling.NOTHING
    return replace(queue, told_at=now, told_count=count), Telling.BEGAN
