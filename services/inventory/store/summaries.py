"""The figures of a dashboard: from the counts that are kept, or counted where none are."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.domain.replacements import State
from services.inventory.store import (
    assessments,
    certificates,
    facets,
    findings,
    places,
    replacements,
    tallies,
    unowned,
)
from services.inventory.store.assessment_tables import AssessmentRow
from services.inventory.store.certificates import CertificateFilter
from services.inventory.store.tables import Certificate, Lineage
from services.inventory.store.visibility import Scope, visible_certificates
from shared.events.inventory import Flaw, Urgency

WINDOWS = (7, 30, 90)
"""Days that are looked ahead."""
Verdicts = Mapping[str, Mapping[str, int]]
"""How many places have which verdict, by policy."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """What ends today or within so many days after it, in UTC."""

    days: int
    certificates: int
    by_hand: int
    """Those of them that nothing renews by itself."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """How many there are of what, of all that a caller may see."""

    certificates: int
    current: int
    unreadable: int
    unowned: int
    managed: int
    """Certificates in use that renewal renews by itself."""
    places: int
    places_lost: int
    by_urgency: Mapping[Urgency, int]
    windows: Sequence[Window]
    replacements: Mapping[State, int]
    grades: Mapping[str, int]
    verdicts: Verdicts
    findings: Mapping[str, int]
    """Broken rules of the linter, by severity: one for each certificate and rule."""
    flaws: Mapping[Flaw, int]
    """Places that something is wrong with."""


async def summary(session: AsyncSession, *, scope: Scope, today: date) -> Summary:
    """Return how many there are; windows begin with `today`."""
    of = tallies.kept_for(session, scope)
    if of is None:
        return await _counted(session, scope=scope, today=today)
    return await _kept(session, of, scope=scope, today=today)


_KINDS = (
    "all",
    "current",
    "readable",
    "unowned",
    "managed",
    "urgency",
    "place",
    "lost",
    "replacement",
    "grade",
    "finding",
    "flaw",
)


async def _kept(session: AsyncSession, of: tallies.Groups, *, scope: Scope, today: date) -> Summary:
    kept = await tallies.numbers(session, of, *_KINDS)
    every = sum(kept["all"].values())
    lost, replaced = sum(kept["lost"].values()), _states(kept["replacement"])
    if scope is not None:  # these are about several certificates, which may be in different groups
        lost = await places.count_lost(session, scope=scope)
        replaced = await replacements.counts(session, scope=scope, members=every)
    return Summary(
        certificates=every,
        current=kept["current"].get("true", 0),
        unreadable=kept["readable"].get("false", 0),
        unowned=sum(kept["unowned"].values()),
        managed=kept["managed"].get("true", 0),
        places=sum(kept["place"].values()) + lost,
        places_lost=lost,
        by_urgency={each: kept["urgency"].get(each, 0) for each in Urgency},
        windows=await _kept_windows(session, of, today=today),
        replacements=replaced,
        grades=assessments.known_or_not(kept["grade"]),
        verdicts=await assessments.verdict_counts(session, scope=scope),
        findings=_by_head(kept["finding"]),
        flaws={Flaw(flaw): number for flaw, number in kept["flaw"].items() if flaw is not None},
    )


def _states(numbers: tallies.Numbers) -> Mapping[State, int]:
    return {state: numbers.get(state, 0) for state in State}


def _by_head(numbers: tallies.Numbers) -> Mapping[str, int]:
    """Return how many there are by what stands before the bar."""
    found: dict[str, int] = defaultdict(int)
    for value, number in numbers.items():
        found[(value or "").partition("|")[0]] += number
    return found


async def _kept_windows(session: AsyncSession, of: tallies.Groups, *, today: date) -> Sequence[Window]:
    days = [today, *(today + timedelta(days=days) for days in WINDOWS)]
    by_hand = await tallies.until(session, of, "ends", days)
    managed = await tallies.until(session, of, "ends.managed", days)
    return [
        Window(days=days, certificates=hand + itself, by_hand=hand)
        for days, hand, itself in zip(WINDOWS, by_hand, managed, strict=True)
    ]


async def _counted(session: AsyncSession, *, scope: Scope, today: date) -> Summary:
    every, current, unreadable = await certificates.counts(session, scope=scope)
    seen, lost = await places.counts(session, scope=scope)
    managed, windows = await _counted_windows(session, scope=scope, today=today)
    flaws = await facets.facet(session, "place.flaw", CertificateFilter(scope=scope), limit=len(Flaw))
    return Summary(
        certificates=every,
        current=current,
        unreadable=unreadable,
        unowned=await unowned.count(session, scope=scope),
        managed=managed,
        places=seen,
        places_lost=lost,
        by_urgency=await certificates.counts_by_urgency(session, scope=scope),
        windows=windows,
        replacements=await replacements.counts(session, scope=scope),
        grades=await assessments.counts(session, AssessmentRow.grade, scope=scope),
        verdicts=await assessments.verdict_counts(session, scope=scope),
        findings=await findings.counts_by_severity(session, scope=scope),
        flaws={Flaw(str(flaw)): number for flaw, number in flaws.buckets},
    )


async def _counted_windows(
    session: AsyncSession, *, scope: Scope, today: date
) -> tuple[int, Sequence[Window]]:
    """Return how many certificates in use renewal renews by itself, and what ends when."""
    begins = datetime.combine(today, time(), UTC)
    ends, number = col(Certificate.not_after), sa.func.count()
    is_managed = col(Lineage.is_managed)
    within = [sa.and_(ends >= begins, ends < begins + timedelta(days=days + 1)) for days in WINDOWS]
    query = (
        sa.select(
            number.filter(is_managed),
            *(number.filter(each) for each in within),
            *(number.filter(each, ~is_managed) for each in within),
        )
        .select_from(Certificate)
        .join(Lineage, col(Lineage.id) == col(Certificate.lineage_id))
        .where(col(Certificate.is_current), *visible_certificates(scope))
    )
    managed, *numbers = (await session.execute(query)).one()
    by_hand = numbers[len(WINDOWS) :]
    windows = [
        Window(days=days, certificates=every, by_hand=hand)
        for days, every, hand in zip(WINDOWS, numbers[: len(WINDOWS)], by_hand, strict=True)
    ]
    return managed, windows
