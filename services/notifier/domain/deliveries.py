"""Whom an alert is told, and when a telling is tried again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.notifier.domain.alerts import is_worse
from shared.events.notifier import Severity

LONGEST_WAIT = timedelta(hours=24)
_JITTER = 0.1


class DeliveryState(StrEnum):
    """What became of a telling."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Routing:
    """What a rule says: from this severity up, of these problems (none: all), to these channels (None: all)."""

    min_severity: Severity
    problems: frozenset[str]
    channels: frozenset[str] | None


def recipients(
    rules: Iterable[Routing], *, problem: str, severity: Severity, enabled: Sequence[str]
) -> list[str]:
    """Return the enabled channels that some rule tells of such an alert, in their order."""
    matching = [
        rule
        for rule in rules
        if not is_worse(rule.min_severity, severity) and (not rule.problems or problem in rule.problems)
    ]
    return [
        channel
        for channel in enabled
        if any(rule.channels is None or channel in rule.channels for rule in matching)
    ]


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
