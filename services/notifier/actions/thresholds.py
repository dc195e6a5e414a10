"""Notices when a certificate crosses a threshold of a rule, and tells it once.

What is due is a row with an instant, so a restart loses nothing; what was crossed is a row as well, so nothing is told twice.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from services.notifier import store
from services.notifier.actions import turns
from services.notifier.actions.telling import routing
from services.notifier.domain.alerts import Evidence, Problem, worst
from services.notifier.domain.evidence import of_ending
from services.notifier.domain.facts import facts_of
from services.notifier.domain.ladders import Rung, ladder, next_look, passed
from services.notifier.domain.routing import Concern, Routing
from shared.events import Event
from shared.events.inventory import CertificateAging, CertificateExpiring, Urgency
from shared.events.notifier import Severity
from shared.store import Database, Transaction

BATCH = 100
Ending = TypeVar("Ending", CertificateExpiring, CertificateAging)
_LATE = (Urgency.ERROR, Urgency.CRITICAL, Urgency.EXPIRED)
"""From `error` on renewal orders a certificate whatever its schedule says: what works by itself would have been done."""


class Thresholds:
    """The certificates that are watched, and which thresholds they have crossed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def watch(self, tx: Transaction, events: Sequence[Event[Ending]], *, now: datetime) -> None:
        """Take in that certificates in use, of different lineages, come to their ends, and what is known of them."""
        ending = {event.data.lineage_id: event.data for event in events}
        await store.lock_subjects(tx, dict.fromkeys(ending), now=now)
        known = await store.facts_of(tx.session, ending)
        facts = {lineage: facts_of(ending[lineage], before=known[lineage]) for lineage in ending}
        await store.keep_facts(tx, facts, now=now)
        gone = {(each.subject, each.outgoing) for each in await store.replacements_of(tx.session, ending)}
        rows = [
            _watched(event, now=now)
            for event in events
            if (event.data.lineage_id, event.data.fingerprint) not in gone
        ]
        await store.watch(tx, rows)

    async def unwatch(
        self, tx: Transaction, lineage_id: str, fingerprint: str | None, *, now: datetime
    ) -> None:
        """Take in that a certificate has a successor: that it ends is no matter any more."""
        if fingerprint is not None:
            await store.lock_subject(tx, lineage_id, name=None, now=now)
            await store.unwatch(tx, lineage_id, fingerprint)

    async def fell_behind(self, tx: Transaction, lineage_id: str, *, now: datetime) -> None:
        """Take in that renewal has failed: nobody relies on it any more."""
        await store.lock_subject(tx, lineage_id, name=None, now=now)
        await store.look_again(tx, lineage_ids=[lineage_id], is_late=True, now=now)

    async def automate(self, tx: Transaction, lineage_id: str, *, is_automated: bool, now: datetime) -> None:
        """Take in whether renewal renews a lineage by itself."""
        await store.lock_subject(tx, lineage_id, name=None, now=now)
        facts = await store.facts_of(tx.session, [lineage_id])
        told = facts[lineage_id].model_copy(update={"is_automated": is_automated})
        await store.keep_facts(tx, {lineage_id: told}, now=now)
        await store.look_again(tx, lineage_ids=[lineage_id], now=now)

    async def cross_due(self, now: datetime) -> bool:
        """Look at what has come to a threshold; return whether there may be more."""
        async with self._database.read() as session:
            lineages = await store.due_lineages(session, now=now, limit=BATCH)
        if lineages:
            async with self._database.transaction() as tx:
                await self._look(tx, sorted(lineages), now=now)
        return len(lineages) > 0

    async def _look(self, tx: Transaction, lineages: Sequence[str], *, now: datetime) -> None:
        await store.lock_subjects(tx, dict.fromkeys(lineages), now=now)
        rules = [rule for rule in map(routing, await store.all_rules(tx.session)) if rule.has_ladder]
        known: dict[tuple[str, str, str], set[str]] = {}
        for row in await store.crossed(tx, lineages):
            known.setdefault((row.lineage_id, row.fingerprint, row.rule_id), set()).add(row.threshold)
        groups = await store.SUBJECTS.of_each(tx.session, lineages)
        facts = await store.facts_of(tx.session, lineages)
        news: list[dict[str, turns.News]] = []
        for watched in await store.watched(tx, lineages):
            concern = Concern(
                problem=Problem.EXPIRING,
                severity=Severity.INFO,
                groups=groups[watched.lineage_id],
                facts=facts[watched.lineage_id],
                is_late=watched.is_late,
            )
            mine = {
                rule.id: known.get((watched.lineage_id, watched.fingerprint, rule.id), set())
                for rule in rules
            }
            crossed = _look_at(watched, rules, concern, known=mine, now=now)
            if crossed:
                await store.keep_crossed(tx, _records(watched, crossed, now=now))
                evidence = _evidence(watched, crossed, now=now)
                _put(news, turns.News(evidence=evidence, crossed=set(crossed)))
        for some in news:
            await turns.tell_all(tx, list(some.values()), now=now)


def _put(news: list[dict[str, turns.News]], new: turns.News) -> None:
    """Put news where there is none of its subject: two certificates of a lineage are told one after the other."""
    subject = new.evidence.subject
    for some in news:
        if subject not in some:
            some[subject] = new
            return
    news.append({subject: new})


def _look_at(
    watched: store.Watched,
    rules: Sequence[Routing],
    concern: Concern,
    *,
    known: Mapping[str, Collection[str]],
    now: datetime,
) -> dict[str, Sequence[Rung]]:
    """Return what a certificate has crossed of which rules, and say when to look at it again."""
    ladders = {
        rule.id: ladder(rule.plan.ladder(), not_before=watched.not_before, not_after=watched.not_after)
        for rule in rules
        # What does not concern a rule now may later: a group or an owner can change, so it is looked at again then.
        if rule.is_for(concern) and not rule.is_waiting(concern)
    }
    watched.due_at = min(
        (at for rungs in ladders.values() if (at := next_look(rungs, now=now)) is not None), default=None
    )
    found = {rule_id: passed(rungs, known=known[rule_id], now=now) for rule_id, rungs in ladders.items()}
    return {rule_id: rungs for rule_id, rungs in found.items() if rungs}


def _watched(event: Event[Ending], *, now: datetime) -> store.Watched:
    data = event.data
    return store.Watched(
        lineage_id=data.lineage_id,
        fingerprint=data.fingerprint,
        not_before=data.not_before,
        not_after=data.not_after,
        evidence=of_ending(data, severity=Severity.INFO, told_at=event.time).model_dump(mode="json"),
        is_late=isinstance(data, CertificateExpiring) and data.urgency in _LATE,
        due_at=now,
    )


def _records(
    watched: store.Watched, news: Mapping[str, Sequence[Rung]], *, now: datetime
) -> list[store.Crossed]:
    return [
        store.Crossed(
            rule_id=rule_id,
            lineage_id=watched.lineage_id,
            fingerprint=watched.fingerprint,
            threshold=rung.threshold,
            at=rung.at,
            noticed_at=now,
        )
        for rule_id, rungs in news.items()
        for rung in rungs
    ]


def _evidence(watched: store.Watched, news: Mapping[str, Sequence[Rung]], *, now: datetime) -> Evidence:
    """Return the evidence with the worst of what was crossed; of several rungs of one ladder only the last counts."""
    severity = worst([rungs[-1].severity for rungs in news.values()])
    return Evidence.model_validate(watched.evidence).model_copy(update={"severity": severity, "told_at": now})
