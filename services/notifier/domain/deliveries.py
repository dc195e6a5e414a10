"""Whom an alert is told, and when a telling is tried again."""

from collections.abc import Iterable, Mapping, Sequence
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
    """What a rule says: from this severity up, of these problems (none: all), to these channels (None: all).

    One that is in groups is for alerts in one of them; and its "all channels" are those in one of them.
    """

    min_severity: Severity
    problems: frozenset[str]
    channels: frozenset[str] | None
    groups: frozenset[str] = frozenset()

    def names(self, channel: str, *, groups: frozenset[str]) -> bool:
        """Return whether it is for a channel that is in these groups."""
        if self.channels is not None:
            return channel in self.channels
        return not self.groups or not self.groups.isdisjoint(groups)


def is_concerned(groups: frozenset[str], *, alert: frozenset[str]) -> bool:
    """Return whether a rule or a channel in these groups has to do with an alert in those: without any, with all."""
    return not groups or not groups.isdisjoint(alert)


def recipients(
    rules: Iterable[Routing],
    *,
    problem: str,
    severity: Severity,
    groups: frozenset[str],
    enabled: Mapping[str, frozenset[str]],
) -> list[str]:
    """Return the enabled channels that some rule tells of such an alert, in their order.

    `groups` are those of the alert, `enabled` has those of each channel: whoever is limited to some groups
    hears of no other, whatever a rule says.
    """
    matching = [
        rule
        for rule in rules
        if not is_worse(rule.min_severity, severity)
        and (not rule.problems or problem in rule.problems)
        and is_concerned(rule.groups, alert=groups)
    ]
    return [
        channel
        for channel, its in enabled.items()
        if is_concerned(its, alert=groups) and any(rule.names(channel, groups=its) for rule in matching)
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
