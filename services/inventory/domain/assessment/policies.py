"""Policies: rules as data, with the days between which each holds, and the verdict of one on a subject."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cached_property, lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.inventory.domain.assessment.demands import AnyDemand, Judgement
from services.inventory.domain.assessment.facts import Result, Subject
from shared.events.inventory import RuleSeverity

ENGINE = 1
"""The version of the code that judges; it changes whenever the same facts and policy may give another verdict."""
Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$", max_length=60)]


class Rule(BaseModel):
    """One thing that a policy demands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Slug = Field(examples=["versions"])
    title: str = Field(min_length=1, max_length=200, examples=["Only TLS 1.2 and TLS 1.3"])
    demand: AnyDemand
    severity: RuleSeverity = RuleSeverity.MEDIUM
    level: Literal["must", "should"] = Field(
        "must", description="What only should be is shown, and decides no verdict."
    )
    only_public: bool = Field(
        False, description="Only certificates of publicly trusted authorities are bound by it."
    )
    source: str = Field("", max_length=500, description="Where it is written.")
    remedy: str = Field("", max_length=1000, description="What to do where it is broken.")
    effective_from: date | None = Field(
        None, description="The first day (UTC) on which it holds; empty for ever before."
    )
    effective_until: date | None = Field(None, description="The first day (UTC) on which it holds no more.")

    @model_validator(mode="after")
    def _lasts(self) -> "Rule":
        if self.effective_from and self.effective_until and self.effective_from >= self.effective_until:
            msg = "`effective_until` is not after `effective_from`"
            raise ValueError(msg)
        return self

    def holds(self, now: datetime) -> bool:
        """Return whether it is in force."""
        begins, ends = _instant(self.effective_from), _instant(self.effective_until)
        return (begins is None or begins <= now) and (ends is None or now < ends)


class Document(BaseModel):
    """What a policy says. The same document, facts and instant give the same verdict."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(min_length=1, max_length=200, examples=["What we ask of our servers"])
    description: str = Field("", max_length=2000)
    source: str = Field("", max_length=500)
    published: date | None = None
    rules: list[Rule] = Field(min_length=1, max_length=100)

    @model_validator(mode="after")
    def _tells_rules_apart(self) -> "Document":
        ids = [rule.id for rule in self.rules]
        twice = sorted({each for each in ids if ids.count(each) > 1})
        if twice:
            msg = f"more than one rule has the id {', '.join(twice)}"
            raise ValueError(msg)
        return self

    def rule(self, rule_id: str) -> Rule | None:
        """Return a rule by its id."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A document in one of its versions."""

    id: str
    version: int
    document: Document


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one rule."""

    rule: Rule
    result: Result
    evidence: str = ""
    exception_id: str | None = None
    """The exception for which a failure is none, as long as it lasts."""

    @cached_property
    def counts(self) -> bool:
        """Return whether the verdict depends on it."""
        return self.rule.level == "must" and self.exception_id is None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of a policy, rule by rule in the policy's order."""

    result: Result
    outcomes: tuple[Outcome, ...] = ()

    @cached_property
    def failed(self) -> tuple[Outcome, ...]:
        """Return the failures that decide."""
        return tuple(each for each in self.outcomes if each.counts and each.result is Result.FAIL)

    @property
    def is_by_exception(self) -> bool:
        """Return whether it passes, and would not without an exception."""
        return self.result is Result.PASS and any(each.exception_id for each in self.outcomes)

    def standing(self, before: Iterable[str]) -> list[str]:
        """Return the ids of rules that are broken, or were (`before`) and are not known to be mended."""
        unknown = {each.rule.id for each in self.outcomes if each.counts and each.result is Result.UNKNOWN}
        return sorted({each.rule.id for each in self.failed} | (unknown & set(before)))

    def details(self) -> dict[str, Any]:
        """Return all that was not passed, as JSON."""
        return {
            "rules": [
                {
                    "rule": each.rule.id,
                    "result": each.result.value,
                    "evidence": each.evidence,
                    "exception_id": each.exception_id,
                }
                for each in self.outcomes
                if each.result is not Result.PASS
            ]
        }


def judge(
    document: Document, subject: Subject, *, now: datetime, excepted: dict[str, str] | None = None
) -> Verdict:
    """Return the verdict of a policy; `excepted` names the exception by the rule that it lifts."""
    outcomes = tuple(_outcomes(document, subject, now=now, excepted=excepted or {}))
    return Verdict(result=_together(each.result for each in outcomes if each.counts), outcomes=outcomes)


def _outcomes(
    document: Document, subject: Subject, *, now: datetime, excepted: dict[str, str]
) -> Iterator[Outcome]:
    for rule in document.rules:
        if not rule.holds(now) or (rule.demand.is_of_tls and not subject.is_endpoint):
            continue
        judgement = _judgement(rule, subject)
        lifted = excepted.get(rule.id) if judgement.result is Result.FAIL else None
        yield Outcome(rule=rule, result=judgement.result, evidence=judgement.evidence, exception_id=lifted)


def _judgement(rule: Rule, subject: Subject) -> Judgement:
    if not rule.only_public or subject.is_public is True:
        return rule.demand.judge(subject)
    if subject.is_public is False:
        return Judgement(Result.PASS)
    judgement = rule.demand.judge(subject)
    if judgement.result is Result.FAIL:
        return Judgement(Result.UNKNOWN, "it is not known whether its issuer is publicly trusted")
    return judgement


def _together(results: Iterable[Result]) -> Result:
    found = set(results)
    return next((each for each in (Result.FAIL, Result.UNKNOWN) if each in found), Result.PASS)


def next_change(document: Document, *, now: datetime) -> datetime | None:
    """Return when a rule begins or ends to hold next."""
    days = (day for rule in document.rules for day in (rule.effective_from, rule.effective_until))
    instants = (_instant(day) for day in days)
    return min((each for each in instants if each is not None and each > now), default=None)


@lru_cache(maxsize=256)
def _instant(day: date | None) -> datetime | None:
    return datetime.combine(day, time(), tzinfo=UTC) if day is not None else None
