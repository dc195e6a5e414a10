"""Goes on about open alerts that nobody takes up: tells others, tells it again, and wakes what was put off."""

from collections.abc import Sequence
from datetime import datetime

from services.notifier import store
from services.notifier.actions import turns
from services.notifier.actions.telling import concern_of, routing, tell_steps
from services.notifier.domain.alerts import AlertState
from services.notifier.domain.notices import Turn
from services.notifier.domain.plans import Level
from services.notifier.domain.routing import Routing, first_level
from services.notifier.domain.text import span
from shared.store import Database, Transaction

BATCH = 50


class Pursuits:
    """What rules do about alerts after they have told them first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pursue_due(self, now: datetime) -> bool:
        """Do what is due; return whether there may be more."""
        async with self._database.read() as session:
            due = await store.due_pursuits(session, now=now, limit=BATCH)
        for alert_id, subject in due:
            async with self._database.transaction() as tx:
                await store.lock_subject(tx, subject, name=None, now=now)
                alert = await tx.session.get_one(store.Alert, alert_id, populate_existing=True)
                await _go_on(tx, alert, now=now)
        return len(due) == BATCH


async def _go_on(tx: Transaction, alert: store.Alert, *, now: datetime) -> None:
    if alert.state != AlertState.OPEN or alert.muted_at is not None:
        await store.postpone_pursuits(tx, alert.id, until=None)
        return
    if alert.snoozed_until is not None and alert.snoozed_until <= now:
        await wake(tx, alert, text="It was put off until now, and is open still", now=now)
        return
    rules = {rule.id: routing(rule) for rule in await store.all_rules(tx.session)}
    for pursuit in await store.pursuits_of(tx, alert.id):
        if pursuit.next_at is not None and pursuit.next_at <= now:
            await _take_step(tx, alert, pursuit, rules.get(pursuit.rule_id), now=now)


async def _take_step(
    tx: Transaction, alert: store.Alert, pursuit: store.Pursuit, rule: Routing | None, *, now: datetime
) -> None:
    if rule is None:
        pursuit.next_at = None
        return
    plan = rule.plan
    if plan.is_higher_due(level=pursuit.level, began_at=pursuit.began_at, now=now):
        levels = [plan.escalation[pursuit.level]]
        pursuit.level += 1
        words = f"Nobody has taken it up for {span(now - pursuit.began_at)}"
        await _say(tx, alert, rule, levels, turn=Turn.ESCALATED, words=words, now=now)
    else:
        levels = [first_level(rule), *plan.escalation[: pursuit.level]]
        words = f"Open for {span(now - alert.opened_at)}"
        await _say(tx, alert, rule, levels, turn=Turn.REPEATED, words=words, now=now)
    pursuit.told_at = now
    pursuit.next_at = plan.next_pursuit(level=pursuit.level, began_at=pursuit.began_at, told_at=now)


async def _say(
    tx: Transaction,
    alert: store.Alert,
    rule: Routing,
    levels: Sequence[Level],
    *,
    turn: Turn,
    words: str,
    now: datetime,
) -> None:
    turns.remember(tx, alert, turn=turn, text=f"{words}: {alert.summary}", now=now)
    await tx.session.flush()
    steps = [(rule, level) for level in levels]
    await tell_steps(tx, alert, steps, concern=await concern_of(tx, alert), number=alert.turns, now=now)


async def wake(
    tx: Transaction, alert: store.Alert, *, text: str, now: datetime, by: str | None = None
) -> None:
    """End an alert's silence: it is told again by the rules that have told it, from their first level on."""
    alert.snoozed_until = alert.snoozed_by = alert.acknowledged_at = alert.acknowledged_by = None
    alert.muted_at = alert.muted_by = alert.muted_because = None
    rules = {rule.id: routing(rule) for rule in await store.all_rules(tx.session)}
    turns.remember(tx, alert, turn=Turn.WOKEN, text=f"{text}: {alert.summary}", now=now, by=by)
    await tx.session.flush()
    steps = []
    for pursuit in await store.pursuits_of(tx, alert.id):
        pursuit.next_at = None
        if (rule := rules.get(pursuit.rule_id)) is not None:
            steps.append((rule, first_level(rule)))
            pursuit.level, pursuit.began_at, pursuit.told_at = 0, now, now
            pursuit.next_at = rule.plan.next_pursuit(level=0, began_at=now, told_at=now)
    await tell_steps(tx, alert, steps, concern=await concern_of(tx, alert), number=alert.turns, now=now)
