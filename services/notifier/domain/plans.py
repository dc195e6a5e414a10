"""What a rule says beside whom it tells: of which lineages, at which thresholds, at what hours, and what if nobody answers."""

import itertools
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from services.notifier.domain.alerts import is_worse
from services.notifier.domain.facts import Facts
from services.notifier.domain.hours import Hours
from services.notifier.domain.ladders import Threshold, read_threshold
from shared.clock import Duration
from shared.events.notifier import Severity

SHORTEST = timedelta(minutes=1)
LONGEST = timedelta(days=90)
Span = Annotated[
    Duration, Field(ge=SHORTEST, le=LONGEST, description="ISO 8601: at least a minute, at most 90 days.")
]
Patterns = tuple[str, ...]


class Part(BaseModel):
    """A part of a plan: closed to names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Match(Part):
    """Of which lineages a rule is: all that is given must fit, and of a list one; `*` stands for anything."""

    names: Patterns = Field(default=(), max_length=100, examples=[["*.shop.example.test"]])
    issuers: Patterns = Field(default=(), max_length=100, examples=[["*Let's Encrypt*"]])
    owners: Patterns = Field(default=(), max_length=100, examples=[["payments"]])
    """Ids or names of teams."""

    def fits(self, facts: Facts) -> bool:
        """Return whether a lineage is meant; where something is asked that is not known of it, it is not."""
        owner = (facts.owner.id, facts.owner.name) if facts.owner else ()
        asked = ((self.names, facts.names), (self.issuers, (facts.issuer,)), (self.owners, owner))
        return all(not patterns or _is_like(texts, patterns) for patterns, texts in asked)


def _is_like(texts: Iterable[str], patterns: Patterns) -> bool:
    return any(fnmatchcase(text.casefold(), pattern.casefold()) for text in texts for pattern in patterns)


class Address(StrEnum):
    """To whom a channel tells it that can tell others than its own recipients, as mail can."""

    CHANNEL = "channel"
    """Those that its options name."""
    OWNER = "owner"
    """The contacts of the team that owns the certificate; where there are none, those that its options name."""
    DEPUTY = "deputy"
    """The contacts of who stands in for that team; where there are none, those that its options name."""


class Level(Part):
    """Who is told when nobody has taken it up for so long."""

    after: Span = Field(examples=["PT4H"])
    """Since the rule told it first."""
    channels: tuple[str, ...] | None = Field(default=None, max_length=1000)
    """Ids; null: every enabled channel."""
    address: Address = Address.CHANNEL


class Plan(Part):
    """What a rule says beside whom it tells."""

    thresholds: tuple[str, ...] = Field(default=(), max_length=20)
    match: Match = Match()
    address: Address = Address.CHANNEL
    escalation: tuple[Level, ...] = Field(default=(), max_length=10)
    repeat_every: Span | None = None
    hours: Hours | None = None
    digest_every: Span | None = None
    is_quiet_while_automated: bool = False

    @field_validator("thresholds")
    @classmethod
    def _are_thresholds(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            read_threshold(text)
        if len(set(value)) < len(value):
            msg = "a threshold is given twice"
            raise ValueError(msg)
        return value

    @field_validator("escalation")
    @classmethod
    def _climbs(cls, value: tuple[Level, ...]) -> tuple[Level, ...]:
        if any(later.after <= earlier.after for earlier, later in itertools.pairwise(value)):
            msg = "each level comes later than the one before"
            raise ValueError(msg)
        return value

    def ladder(self) -> Sequence[Threshold]:
        """Return the thresholds, read."""
        return [read_threshold(text) for text in self.thresholds]

    def when(self, now: datetime, *, severity: Severity) -> datetime:
        """Return when people may be told: now, or when they are at work again."""
        if self.hours is None or not is_worse(self.hours.urgent_from, severity):
            return now
        return self.hours.next_open(now)

    def next_pursuit(self, *, level: int, began_at: datetime, told_at: datetime) -> datetime | None:
        """Return when it is to be said again, or to others, where nobody takes it up until then."""
        again = [told_at + self.repeat_every] if self.repeat_every else []
        higher = [began_at + self.escalation[level].after] if level < len(self.escalation) else []
        return min([*again, *higher], default=None)

    def is_higher_due(self, *, level: int, began_at: datetime, now: datetime) -> bool:
        """Return whether the next level of escalation is to be told."""
        return level < len(self.escalation) and began_at + self.escalation[level].after <= now
