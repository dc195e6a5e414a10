"""What lies ahead: how many certificates end and are renewed on which day, and what shorter lifetimes would change.

A certificate in use is taken to be renewed when its first threshold is crossed, by one that lasts as long as it did, or as
long as may then be issued where it is publicly trusted; and that one again. A day is one of UTC.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from services.inventory.domain.thresholds import Limit, crossings
from shared.events.inventory import Urgency
from shared.validity import Ceiling, ceiling, ceilings_after

DAY = timedelta(days=1)
SHORTEST = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """Certificates in use that end on one day and are alike in what matters here."""

    key: str
    """What they are grouped by; empty for none."""
    ends_on: date
    lifetime: timedelta
    is_public: bool
    """Publicly trusted, so that the CA/Browser Forum's ceilings hold for their successors."""
    is_automated: bool
    count: int


@dataclass(frozen=True, kw_only=True)
class Day:
    """What one day brings."""

    day: date
    expiries: int
    """Certificates of today that end on it, if nobody renews them before."""
    renewals: int
    by_hand: int
    """Those of the renewals that nothing does by itself."""


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A ceiling to come, and how many certificates in use last longer than it will allow."""

    ceiling: Ceiling
    certificates: int
    by_hand: int


@dataclass(frozen=True, kw_only=True)
class Load:
    """How many renewals a day and a week, once all certificates last no longer than they may."""

    a_day: float
    a_week: int
    """Rounded up: what an authority must grant."""
    by_hand_a_day: float


@dataclass(frozen=True, kw_only=True)
class Group:
    """One key's share of what lies ahead."""

    key: str
    certificates: int
    by_hand: int
    renewals: int
    """Within the days looked at."""
    busiest_day: int
    now: Load
    then: Load


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What lies ahead of certificates in use."""

    certificates: int
    by_hand: int
    days: Sequence[Day]
    broken: Sequence[Broken]
    now: Load
    then: Load
    groups: Sequence[Group]


@dataclass
class _Tally:
    certificates: int = 0
    by_hand: int = 0
    expiries: Counter[date] = field(default_factory=Counter)
    renewals: Counter[date] = field(default_factory=Counter)
    renewals_by_hand: Counter[date] = field(default_factory=Counter)
    now: list[float] = field(default_factory=lambda: [0.0, 0.0])
    then: list[float] = field(default_factory=lambda: [0.0, 0.0])


def forecast(
    cohorts: Iterable[Cohort],
    *,
    today: date,
    days: int,
    at_lifetime: timedelta,
    limits: Mapping[Urgency, Limit],
) -> Forecast:
    """Return what the days from `today` on bring, and what it would be with lifetimes of `at_lifetime` at most."""
    whole, parts = _Tally(), dict[str, _Tally]()
    kept = list(cohorts)
    span = _memoised(limits)
    for cohort in kept:
        tallies = (whole, parts.setdefault(cohort.key, _Tally()))
        for tally in tallies:
            _count(tally, cohort, at_lifetime=at_lifetime, span=span)
        for day, count in _renewals(cohort, today=today, days=days, span=span):
            for tally in tallies:
                tally.renewals[day] += count
                tally.renewals_by_hand[day] += 0 if cohort.is_automated else count
    ahead = [today + DAY * number for number in range(days)]
    return Forecast(
        certificates=whole.certificates,
        by_hand=whole.by_hand,
        days=[_day(whole, day) for day in ahead],
        broken=[_broken(each, kept) for each in ceilings_after(_noon(today))],
        now=_load(whole.now),
        then=_load(whole.then),
        groups=[_group(key, parts[key]) for key in sorted(parts, key=lambda key: _weight(parts[key], key))],
    )


def _count(
    tally: _Tally, cohort: Cohort, *, at_lifetime: timedelta, span: Callable[[timedelta], timedelta]
) -> None:
    tally.certificates += cohort.count
    tally.by_hand += 0 if cohort.is_automated else cohort.count
    tally.expiries[cohort.ends_on] += cohort.count
    for load, lifetime in ((tally.now, cohort.lifetime), (tally.then, min(cohort.lifetime, at_lifetime))):
        a_day = cohort.count * (DAY / span(lifetime))
        load[0] += a_day
        load[1] += 0.0 if cohort.is_automated else a_day


def _renewals(
    cohort: Cohort, *, today: date, days: int, span: Callable[[timedelta], timedelta]
) -> Iterator[tuple[date, int]]:
    """Return on which days, from today on, how many renewals are due; what is overdue is due today."""
    begins, ends = _noon(today), _noon(today) + DAY * days
    due = _noon(cohort.ends_on) - cohort.lifetime + span(cohort.lifetime)
    due = max(due, begins)
    while due < ends:
        after = span(_allowed(cohort, at=due))
        if after < DAY:
            yield due.date(), math.ceil(cohort.count * (DAY / after))
            due += DAY
        else:
            yield due.date(), cohort.count
            due += after


def _allowed(cohort: Cohort, *, at: datetime) -> timedelta:
    limit = ceiling(at) if cohort.is_public else None
    return cohort.lifetime if limit is None else min(cohort.lifetime, limit.longest)


def _memoised(limits: Mapping[Urgency, Limit]) -> Callable[[timedelta], timedelta]:
    """Return how long after its issue a certificate of a lifetime is renewed; few lifetimes occur, each often."""
    known: dict[timedelta, timedelta] = {}
    begin = datetime(2026, 1, 1, tzinfo=UTC)

    def span(lifetime: timedelta) -> timedelta:
        if lifetime not in known:
            lasts = max(lifetime, SHORTEST)
            first = crossings(not_before=begin, not_after=begin + lasts, limits=limits)[0]
            known[lifetime] = max(first.at - begin, SHORTEST / 2)
        return known[lifetime]

    return span


def _broken(limit: Ceiling, cohorts: Sequence[Cohort]) -> Broken:
    longer = [each for each in cohorts if each.is_public and each.lifetime > limit.longest]
    return Broken(
        ceiling=limit,
        certificates=sum(each.count for each in longer),
        by_hand=sum(each.count for each in longer if not each.is_automated),
    )


def _day(tally: _Tally, day: date) -> Day:
    return Day(
        day=day,
        expiries=tally.expiries[day],
        renewals=tally.renewals[day],
        by_hand=tally.renewals_by_hand[day],
    )


def _group(key: str, tally: _Tally) -> Group:
    return Group(
        key=key,
        certificates=tally.certificates,
        by_hand=tally.by_hand,
        renewals=tally.renewals.total(),
        busiest_day=max(tally.renewals.values(), default=0),
        now=_load(tally.now),
        then=_load(tally.then),
    )


def _load(sums: Sequence[float]) -> Load:
    a_day, by_hand = sums
    return Load(a_day=round(a_day, 2), a_week=math.ceil(round(a_day * 7, 6)), by_hand_a_day=round(by_hand, 2))


def _weight(tally: _Tally, key: str) -> tuple[float, str]:
    return -tally.then[0], key


def _noon(day: date) -> datetime:
    return datetime.combine(day, time(12), tzinfo=UTC)
