"""One place, judged by everything: letter, readiness, and the verdict of each policy that is on."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import MAXYEAR, datetime, timedelta
from typing import Any

from services.inventory.domain.assessment.exceptions import LOOSE, Lifted, ScopeKind
from services.inventory.domain.assessment.facts import Subject
from services.inventory.domain.assessment.grades import RULES as GRADE_RULES
from services.inventory.domain.assessment.grades import Grade, grade
from services.inventory.domain.assessment.policies import ENGINE, Policy, Verdict, judge, next_change
from services.inventory.domain.assessment.quantum import Readiness, Timeline, readiness

_TICK = timedelta(seconds=1)
RULES = f"{GRADE_RULES} engine-{ENGINE}"


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """What came of judging a place; `changes_at` is when it must be judged again though nothing is seen."""

    grade: Grade
    readiness: Readiness
    verdicts: tuple[tuple[Policy, Verdict], ...]
    changes_at: datetime | None
    rules: str = RULES

    def details(self) -> dict[str, Any]:
        """Return what is kept beside the letter, as JSON."""
        return {
            "protocol": self.grade.protocol,
            "key_exchange": self.grade.key_exchange,
            "cipher": self.grade.cipher,
            "reasons": [asdict(reason) for reason in self.grade.reasons],
            "not_checked": list(self.grade.not_checked),
            "deadlines": [each.model_dump(mode="json") for each in self.readiness.deadlines],
        }


def assess(
    subject: Subject,
    *,
    policies: Sequence[Policy],
    timelines: Sequence[Timeline],
    lifted: Iterable[Lifted],
    now: datetime,
) -> Assessment:
    """Judge a place; `lifted` are the exceptions that are for it."""
    lifted = tuple(lifted)
    return Assessment(
        grade=grade(subject, now=now),
        readiness=readiness(subject, timelines),
        verdicts=tuple(
            (policy, judge(policy.document, subject, now=now, excepted=_excepted(policy, lifted)))
            for policy in policies
        ),
        changes_at=min(_changes(subject, policies, lifted, now=now), default=None),
    )


def _excepted(policy: Policy, lifted: Iterable[Lifted]) -> dict[str, str]:
    return {each.rule_id: each.id for each in lifted if each.policy_id == policy.id}


def _changes(
    subject: Subject, policies: Sequence[Policy], lifted: Iterable[Lifted], *, now: datetime
) -> Iterator[datetime]:
    yield from (at for at in (subject.not_before, _after_end(subject)) if at is not None and at > now)
    for policy in policies:
        at = next_change(policy.document, now=now)
        if at is not None:
            yield at
    for each in lifted:
        yield each.ends_at
        if each.kind in (ScopeKind.GROUP, ScopeKind.QUERY):
            yield now + LOOSE


def _after_end(subject: Subject) -> datetime | None:
    # It is good during its last second still; in the last year there is it has no end (RFC 5280 §4.1.2.5).
    if subject.not_after is None or subject.not_after.year == MAXYEAR:
        return None
    return subject.not_after + _TICK
