"""The routes of assessments: letters, verdicts and post-quantum readiness, place by place and counted."""

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field

from services.inventory.actions.assessments import AssessmentReport, Assessments, RuleReport, VerdictReport
from services.inventory.api.places import PlaceView
from services.inventory.domain.assessment.facts import Result
from services.inventory.domain.assessment.quantum import KeyExchange, Signature
from services.inventory.store.assessments import AssessmentFilter
from shared.access import Principal, requires
from shared.events.inventory import RuleSeverity
from shared.http import Page, Paging, Routes, View, of_query

Reader = Annotated[Principal, requires("assessments:read")]
AllPages = Annotated[Paging, of_query(Paging)]
Letter = Literal["A+", "A", "A-", "B", "C", "D", "E", "F", "M", "T"]


class ReasonView(View):
    """Why a letter is no better."""

    code: str = Field(examples=["old-versions"])
    cap: Letter = Field(description="The best letter that is possible with it.")
    evidence: str = Field(examples=["TLSv1.1, TLSv1 are offered"])


class DeadlineView(View):
    """A day after which something that is in use is allowed no more."""

    source: str
    of: str = Field(examples=["key-exchange"])
    meaning: str = Field(examples=["disallowed"])
    after: date
    applies_to: str


class ReadinessView(View):
    """Readiness for quantum computers; it has no part in the letter."""

    key_exchange: KeyExchange
    signature: Signature
    disallowed_after: date | None = Field(
        description="The first day on which all that is in use is still allowed by all."
    )
    deadlines: list[DeadlineView]


class RuleView(View):
    """A rule that was not passed."""

    rule: str
    title: str
    result: Result
    severity: RuleSeverity
    level: Literal["must", "should"]
    evidence: str
    remedy: str
    source: str
    exception_id: str | None = Field(description="The exception by which the failure is let pass.")


class VerdictView(View):
    """What came of a policy that is on."""

    policy: str
    title: str
    version: int
    verdict: Result
    is_by_exception: bool
    since: datetime
    rules: list[RuleView] = Field(description="Those that were not passed.")


class AssessmentView(View):
    """How good a place is."""

    place: PlaceView
    fingerprint: str | None
    grade: Letter | None = Field(
        description="Empty where too little is known: scan the place at depth `full`."
    )
    score: float | None
    protocol: float | None
    key_exchange: float | None
    cipher: float | None
    reasons: list[ReasonView]
    not_checked: list[str] = Field(
        description="What bears upon the letter and nobody has looked at.", examples=[["trust", "hsts"]]
    )
    readiness: ReadinessView
    verdicts: list[VerdictView]
    rules: str = Field(
        description="The version of the rules that were applied.", examples=["ssllabs-2009r.2 engine-1"]
    )
    assessed_at: datetime


class AssessmentCountsView(View):
    """How many places there are of what; `unknown` are those of which too little is known."""

    by_grade: dict[str, int] = Field(examples=[{"A": 812, "B": 40, "unknown": 7}])
    by_pq_key_exchange: dict[str, int]
    by_policy: dict[str, dict[str, int]] = Field(
        examples=[{"mozilla-6.0-intermediate": {"pass": 800, "fail": 52, "unknown": 7}}]
    )


def assessment_routes(assessments: Assessments) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1")

    @routes.get("/assessments", summary="List how good what is served is")
    async def list_assessments(
        caller: Reader,
        paging: AllPages,
        *,
        grade: Letter | None = None,
        policy: Annotated[str | None, Query(max_length=60)] = None,
        verdict: Result | None = None,
        key_exchange: Annotated[KeyExchange | None, Query(description="Post-quantum readiness.")] = None,
        fingerprint: Annotated[str | None, Query(max_length=64)] = None,
    ) -> Page[AssessmentView]:
        wanted = AssessmentFilter(
            scope=caller.scope,
            grade=grade,
            policy=policy,
            verdict=verdict,
            pq_key_exchange=key_exchange,
            fingerprint=fingerprint,
        )
        after = paging.after[0] if paging.after else None
        rows = await assessments.page(wanted, after=after, limit=paging.limit)
        return paging.page([_assessment(row) for row in rows], key=lambda view: [view.place.id])

    @routes.get("/assessments/summary", summary="Count places by letter, verdict and readiness")
    async def get_assessment_summary(caller: Reader) -> AssessmentCountsView:
        return AssessmentCountsView.model_validate(await assessments.counts(scope=caller.scope))

    @routes.get("/places/{place_id}/assessment", summary="Show how good a place is, and why")
    async def get_place_assessment(caller: Reader, place_id: str) -> AssessmentView:
        return _assessment(await assessments.of_place(place_id, scope=caller.scope))

    return routes


def _assessment(found: AssessmentReport) -> AssessmentView:
    row, details = found.row, found.details
    return AssessmentView.model_validate(
        {
            "place": PlaceView.model_validate(found.place),
            "fingerprint": row.fingerprint,
            "grade": row.grade,
            "score": row.score,
            **{name: details.get(name) for name in ("protocol", "key_exchange", "cipher")},
            "reasons": details.get("reasons", []),
            "not_checked": details.get("not_checked", []),
            "readiness": {
                "key_exchange": row.pq_key_exchange,
                "signature": row.pq_signature,
                "disallowed_after": row.pq_after,
                "deadlines": details.get("deadlines", []),
            },
            "verdicts": [_verdict(each) for each in found.verdicts],
            "rules": row.rules,
            "assessed_at": row.assessed_at,
        }
    )


def _verdict(found: VerdictReport) -> VerdictView:
    return VerdictView(
        policy=found.policy,
        title=found.title,
        version=found.version,
        verdict=Result(found.verdict),
        is_by_exception=found.is_by_exception,
        since=found.since,
        rules=[_rule(each) for each in found.rules],
    )


def _rule(found: RuleReport) -> RuleView:
    rule = found.rule
    return RuleView(
        rule=rule.id,
        title=rule.title,
        result=Result(found.result),
        severity=rule.severity,
        level=rule.level,
        evidence=found.evidence,
        remedy=rule.remedy,
        source=rule.source,
        exception_id=found.exception_id,
    )
