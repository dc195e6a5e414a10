"""Shows what a policy would change before it is switched on, or before it is changed."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.inventory.domain.assessment.facts import Result
from services.inventory.domain.assessment.policies import Document, Verdict, judge
from services.inventory.store import assessments, lifting, places, policies, verdicts
from services.inventory.store.assessments import Judged
from services.inventory.store.tables import PlaceRow
from shared.errors import NotFound
from shared.store import Database

MOST_JUDGED = 200_000
"""Places of one preview: some ten seconds. There may be more, which the preview says."""
EXAMPLES = 20
_CHUNK = 500


@dataclass(kw_only=True)
class Preview:
    """What would come of a policy. New is what no policy that is on says today."""

    judged: int = 0
    is_complete: bool = True
    results: Counter[Result] = field(default_factory=Counter)
    newly_failing: int = 0
    """Where no policy that is on fails now."""
    newly_passing: int = 0
    """Where this policy, as it is on, fails now."""
    by_rule: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[Judged, Verdict]] = field(default_factory=list)
    places: Mapping[str, PlaceRow] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Failing:
    """Places at which a policy that is on fails now: any, and the one that is asked about."""

    anywhere: set[str]
    here: set[str]


class Previews:
    """Judges every place without keeping what came of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def preview(self, policy_id: str, draft: Document | None, *, now: datetime) -> Preview:
        """Return what a policy would say, or what a draft of it would. Raises `NotFound`."""
        preview = Preview()
        async with self._database.read() as session:
            row = await policies.one(session, policy_id)
            if row is None:
                raise NotFound(
                    f"There is no policy {policy_id}.", next_step="List them with GET /v1/policies."
                )
            document = draft or policies.as_policy(row).document
            on = {policy.id for policy in await policies.enabled(session)}
            held = await policies.lifted(session, [policy_id], now=now)
            after = ""
            while chunk := await assessments.judged_after(session, after, limit=_CHUNK):
                after = chunk[-1].place_id
                lifted = await lifting.by_place(session, held, chunk, now=now)
                before = await verdicts.of_places(session, [each.place_id for each in chunk])
                failing = [
                    key for key, known in before.items() if key[0] in on and known.verdict == Result.FAIL
                ]
                now_failing = Failing(
                    anywhere={place for _, place in failing},
                    here={place for policy, place in failing if policy == policy_id},
                )
                for each in chunk:
                    excepted = {one.rule_id: one.id for one in lifted.get(each.place_id, ())}
                    _count(preview, each, document, excepted=excepted, failing=now_failing, now=now)
                if preview.judged >= MOST_JUDGED:
                    preview.is_complete = False
                    break
            shown = [each.place_id for each, _ in preview.examples]
            preview.places = {place.id: place for place in await places.rows_of(session, shown)}
        return preview


def _count(
    preview: Preview,
    each: Judged,
    document: Document,
    *,
    excepted: dict[str, str],
    failing: Failing,
    now: datetime,
) -> None:
    if each.subject is None:
        return
    verdict = judge(document, each.subject, now=now, excepted=excepted)
    preview.judged += 1
    preview.results[verdict.result] += 1
    preview.by_rule.update(outcome.rule.id for outcome in verdict.failed)
    is_failing = verdict.result is Result.FAIL
    preview.newly_passing += verdict.result is Result.PASS and each.place_id in failing.here
    if is_failing and each.place_id not in failing.anywhere:
        preview.newly_failing += 1
        if len(preview.examples) < EXAMPLES:
            preview.examples.append((each, verdict))
