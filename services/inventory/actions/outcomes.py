"""What comes of an edit, certificate by certificate: foreseen, done, counted."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.inventory.actions import rules
from services.inventory.actions.organising import EVALUATION, assigned, regroup
from services.inventory.actions.wanted import from_json
from services.inventory.domain.edits import Changes, Outcome, Standing, edit, person
from services.inventory.store import assignments, labels
from services.inventory.store.locks import share
from services.inventory.store.matching import Condition, following, visible, within
from services.inventory.store.organised import EditRow
from shared.audit import Change
from shared.store import Transaction

BATCH = 200
RULES = {"rules": True}
"""In the place of changes: what the assignment rules say."""
UNKNOWN = "it is not known"
GONE = "the team that was to own it is gone"


@dataclass(frozen=True, kw_only=True)
class Which:
    """Which certificates: those that a query matches, or these; sorted, each once."""

    query: str | None = None
    fingerprints: Sequence[str] | None = None


@dataclass(kw_only=True)
class Counts:
    """What came, or would come, of an edit: matched = changed + unchanged + refused."""

    matched: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, outcomes: Mapping[str, Outcome]) -> None:
        """Count outcomes."""
        for outcome in outcomes.values():
            self.matched += 1
            self.changed += outcome.reason is None and outcome.is_changed
            self.unchanged += outcome.reason is None and not outcome.is_changed
            self.refused += outcome.reason is not None
            if outcome.reason is not None:
                self.reasons[outcome.reason] += 1


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What an edit would do; `total` are all that match, `counts` those that it went through."""

    total: int
    counts: Counts


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some certificates, how they are organised, and what comes of the edit of each."""

    before: Mapping[str, Standing]
    outcomes: Mapping[str, Outcome]


def matches(row: EditRow) -> Condition:
    """Say which certificates an edit by query is about, as of when it was begun."""
    wanted = rules.condition(row.query, now=row.created_at) if row.query is not None else None
    return within(scope_of(row), wanted)


def scope_of(row: EditRow) -> frozenset[str] | None:
    """Return the groups that the asker of an edit is limited to."""
    return frozenset(row.scope) if row.scope is not None else None


async def following_of(session: AsyncSession, row: EditRow) -> Sequence[str]:
    """Return the next fingerprints of an edit."""
    if row.fingerprints is None:
        return await following(session, matches(row), after=row.cursor, limit=BATCH)
    return [each for each in row.fingerprints if row.cursor is None or each > row.cursor][:BATCH]


async def foresee(session: AsyncSession, row: EditRow, batch: Sequence[str], *, now: datetime) -> Batch:
    """Return what comes of an edit of these certificates, without doing it."""
    seen = await visible(session, batch, scope=scope_of(row))
    before = await labels.standings(session, seen)
    if "rules" in row.changes:
        every = await assignments.rules(session, only_enabled=True)
        after = await assigned(session, every, before, now=now)
        outcomes = {
            each: Outcome(standing=after.get(each, old), is_changed=each in after)
            for each, old in before.items()
        }
        return Batch(before=before, outcomes=outcomes)
    return edited(batch, before, from_json(row.changes), by=person(row.changes["by"]))


def edited(batch: Collection[str], before: Mapping[str, Standing], asked: Changes, *, by: str) -> Batch:
    """Return what comes of changes to certificates; those of which nothing is known are refused."""
    unknown = Outcome(standing=Standing(), reason=UNKNOWN)
    outcomes = {each: edit(before[each], asked, by=by) if each in before else unknown for each in batch}
    return Batch(before=before, outcomes=outcomes)


async def write(
    tx: Transaction, batch: Batch, *, by: tuple[str, str] | None = None, now: datetime
) -> Mapping[str, Outcome]:
    """Do what was foreseen, and make true who is in which group by rule; return what has come of it.

    `by` is id and name of who has asked for it, where that was some time ago.
    """
    changed = {each: outcome.standing for each, outcome in batch.outcomes.items() if outcome.is_changed}
    if changed:
        await share(tx, EVALUATION)
        left_out = await labels.write(tx, batch.before, changed)
        await regroup(tx, list(changed), now=now)
        for fingerprint in sorted(changed.keys() - left_out):
            tx.record(_edited(fingerprint, batch.before[fingerprint], changed[fingerprint], by=by))
        refused = {each: Outcome(standing=batch.before[each], reason=GONE) for each in left_out}
        return {**batch.outcomes, **refused}
    return batch.outcomes


def _edited(fingerprint: str, before: Standing, after: Standing, *, by: tuple[str, str] | None) -> Change:
    old, new = asdict(before), asdict(after)
    changed = sorted(name for name in new if old[name] != new[name])
    return Change(
        kind="certificate",
        verb="edited",
        id=fingerprint,
        before={name: old[name] for name in changed},
        after={name: new[name] for name in changed},
        groups=tuple(sorted(before.groups | after.groups)),
        actor=by,
    )
