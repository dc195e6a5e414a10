"""Answers questions about how good what is served is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from services.inventory.domain.assessment.policies import Rule
from services.inventory.store import assessments, policies, verdicts
from services.inventory.store.assessment_tables import AssessmentRow
from services.inventory.store.assessments import AssessmentFilter
from services.inventory.store.tables import PlaceRow
from services.inventory.store.visibility import Scope
from shared.errors import NotFound
from shared.store import Database


@dataclass(frozen=True, kw_only=True)
class RuleReport:
    """A rule that was not passed."""

    rule: Rule
    result: str
    evidence: str
    exception_id: str | None


@dataclass(frozen=True, kw_only=True)
class VerdictReport:
    """What came of a policy at a place."""

    policy: str
    title: str
    version: int
    verdict: str
    is_by_exception: bool
    since: datetime
    rules: Sequence[RuleReport]


@dataclass(frozen=True, kw_only=True)
class AssessmentReport:
    """How good a place is."""

    row: AssessmentRow
    place: PlaceRow
    verdicts: Sequence[VerdictReport]

    @property
    def details(self) -> Mapping[str, Any]:
        """Return scores, reasons and what was not checked."""
        return self.row.details


@dataclass(frozen=True, kw_only=True)
class AssessmentCounts:
    """How many places there are of what; those that nobody has looked at are `unknown`."""

    by_grade: Mapping[str, int]
    by_pq_key_exchange: Mapping[str, int]
    by_policy: Mapping[str, Mapping[str, int]]


class Assessments:
    """The questions; none of them changes anything."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, wanted: AssessmentFilter, *, after: str | None, limit: int
    ) -> Sequence[AssessmentReport]:
        """Return `limit + 1` assessments, by the ids of their places."""
        async with self._database.read() as session:
            return await _reports(session, await assessments.page(session, wanted, after=after, limit=limit))

    async def of_place(self, place_id: str, *, scope: Scope) -> AssessmentReport:
        """Return the assessment of a place. Raises `NotFound`."""
        async with self._database.read() as session:
            found = await assessments.one(session, place_id, scope=scope)
            if found is None:
                raise NotFound(
                    f"There is no assessment of a place {place_id}.",
                    next_step="List places with GET /v1/places; what was found a moment ago is judged within seconds.",
                )
            [report] = await _reports(session, [found])
        return report

    async def counts(self, *, scope: Scope) -> AssessmentCounts:
        """Count."""
        async with self._database.read() as session:
            return AssessmentCounts(
                by_grade=await assessments.counts(session, AssessmentRow.grade, scope=scope),
                by_pq_key_exchange=await assessments.counts(
                    session, AssessmentRow.pq_key_exchange, scope=scope
                ),
                by_policy=await assessments.verdict_counts(session, scope=scope),
            )


async def _reports(
    session: AsyncSession, found: Sequence[assessments.Assessed]
) -> Sequence[AssessmentReport]:
    kept = await verdicts.of_places(session, [row.place_id for row, _ in found])
    on = await policies.enabled(session)
    return [
        AssessmentReport(
            row=row,
            place=place,
            verdicts=[
                _verdict(
                    known, {rule.id: rule for rule in policy.document.rules}, title=policy.document.title
                )
                for policy in on
                if (known := kept.get((policy.id, row.place_id))) is not None
            ],
        )
        for row, place in found
    ]


def _verdict(row: verdicts.Known, rules: Mapping[str, Rule], *, title: str) -> VerdictReport:
    return VerdictReport(
        policy=row.policy_id,
        title=title,
        version=row.policy_version,
        verdict=row.verdict,
        is_by_exception=row.is_by_exception,
        since=row.since,
        rules=[
            RuleReport(
                rule=rules[said["rule"]],
                result=said["result"],
                evidence=said["evidence"],
                exception_id=said["exception_id"],
            )
            for said in row.details.get("rules", ())
            if said["rule"] in rules
        ],
    )
