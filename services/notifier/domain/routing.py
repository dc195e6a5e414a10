"""Whom an alert is told by which rule, through which channels, to which addresses, and when."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.notifier.domain.alerts import Problem, is_worse
from services.notifier.domain.facts import Facts
from services.notifier.domain.hours import next_multiple
from services.notifier.domain.plans import Address, Level, Plan
from shared.events.notifier import Severity


@dataclass(frozen=True, kw_only=True)
class Routing:
    """What a rule says: from this severity up, of these problems (none: all), to these channels (None: all).

    One that is in groups is for alerts in one of them; and its "all channels" are those in one of them.
    """

    id: str = ""
    min_severity: Severity
    problems: frozenset[str]
    channels: frozenset[str] | None
    groups: frozenset[str] = frozenset()
    plan: Plan = field(default_factory=Plan)

    @property
    def has_ladder(self) -> bool:
        """Return whether it tells of expiring certificates at thresholds of its own."""
        return bool(self.plan.thresholds)

    def is_for(self, concern: "Concern") -> bool:
        """Return whether it is for such an alert at all, however bad it is."""
        return (
            (not self.problems or concern.problem in self.problems)
            and is_concerned(self.groups, alert=concern.groups)
            and self.plan.match.fits(concern.facts)
        )

    def is_waiting(self, concern: "Concern") -> bool:
        """Return whether renewal sees to it, in time, and nobody need know."""
        is_expiring = concern.problem == Problem.EXPIRING
        is_in_time = concern.facts.is_automated and not concern.is_late
        return is_expiring and is_in_time and self.plan.is_quiet_while_automated


@dataclass(frozen=True, kw_only=True)
class Concern:
    """What rules ask of an alert."""

    problem: str
    severity: Severity
    groups: frozenset[str]
    facts: Facts = field(default_factory=Facts)
    is_late: bool = False
    """The certificate has come so near to its end that renewal should have been done."""


@dataclass(frozen=True, kw_only=True)
class Gathering:
    """How many notices a channel for people takes alone within a window; what comes beyond is gathered."""

    burst: int
    window: timedelta


@dataclass(frozen=True, kw_only=True)
class Reachable:
    """A channel that may be used: its groups, and the kind of contact it can tell beside its own recipients."""

    groups: frozenset[str]
    reaches: str | None = None
    gathering: Gathering | None = None
    """None: it is for a machine, which wants each notice alone."""


@dataclass(frozen=True, kw_only=True)
class Telling:
    """One telling through one channel: when, and to whom."""

    at: datetime
    is_own: bool = True
    """To the recipients that the channel's options name."""
    addressed: frozenset[str] = field(default=frozenset())
    """And to these contacts."""
    digest_every: timedelta | None = None
    """It is gathered into a digest, as often as that."""


def is_concerned(groups: frozenset[str], *, alert: frozenset[str]) -> bool:
    """Return whether a rule or a channel in these groups has to do with an alert in those: without any, with all."""
    return not groups or not groups.isdisjoint(alert)


def matching(rules: Iterable[Routing], concern: Concern, *, crossed: Collection[str] = ()) -> list[Routing]:
    """Return the rules that tell of such an alert.

    A rule with thresholds of its own tells of an expiring certificate when one of them is crossed, and then only: `crossed`
    are the ids of rules of which one has just been.
    """
    return [
        rule
        for rule in rules
        if rule.is_for(concern) and not rule.is_waiting(concern) and _is_due(rule, concern, crossed=crossed)
    ]


def _is_due(rule: Routing, concern: Concern, *, crossed: Collection[str]) -> bool:
    if rule.has_ladder and concern.problem == Problem.EXPIRING:
        return rule.id in crossed
    return not is_worse(rule.min_severity, concern.severity)


def first_level(rule: Routing) -> Level:
    """Return whom a rule tells first."""
    channels = None if rule.channels is None else tuple(sorted(rule.channels))
    # Its `after` is not asked: it is told at once.
    return Level.model_construct(after=timedelta(), channels=channels, address=rule.plan.address)


def tellings(
    steps: Sequence[tuple[Routing, Level]],
    concern: Concern,
    *,
    enabled: Mapping[str, Reachable],
    now: datetime,
) -> dict[str, Telling]:
    """Return what goes through which of the enabled channels, in their order.

    Whoever is limited to some groups hears of no other, whatever a rule says. What several rules send through one channel is
    told once: at the earliest of their times, to all that any of them names.
    """
    told = {}
    for channel_id, channel in enabled.items():
        if not is_concerned(channel.groups, alert=concern.groups):
            continue
        mine = [
            _telling(rule, level, concern, channel, now=now)
            for rule, level in steps
            if _names(rule, level, channel_id, groups=channel.groups)
        ]
        if mine:
            told[channel_id] = _joined(mine)
    return told


def _names(rule: Routing, level: Level, channel: str, *, groups: frozenset[str]) -> bool:
    if level.channels is not None:
        return channel in level.channels
    return not rule.groups or not rule.groups.isdisjoint(groups)


def _telling(rule: Routing, level: Level, concern: Concern, channel: Reachable, *, now: datetime) -> Telling:
    addressed = _addressed(level.address, concern.facts, kind=channel.reaches)
    every = rule.plan.digest_every
    at = next_multiple(now, every=every) if every else now
    return Telling(
        at=rule.plan.when(at, severity=concern.severity),
        is_own=not addressed,
        addressed=frozenset(addressed),
        digest_every=every if channel.gathering is not None else None,
    )


def _addressed(address: Address, facts: Facts, *, kind: str | None) -> tuple[str, ...]:
    if kind is None or address is Address.CHANNEL:
        return ()
    return facts.contacts(kind) if address is Address.OWNER else facts.deputies(kind)


def _joined(tellings_: Sequence[Telling]) -> Telling:
    digests = [each.digest_every for each in tellings_]
    return Telling(
        at=min(each.at for each in tellings_),
        is_own=any(each.is_own for each in tellings_),
        addressed=frozenset[str]().union(*(each.addressed for each in tellings_)),
        digest_every=min((each for each in digests if each), default=None) if all(digests) else None,
    )
