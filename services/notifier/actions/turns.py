"""The turns of an alert: each is remembered, said on the bus and put on its way to people, in one transaction.

All of it is for a transaction that holds the alert's subject (`store.lock_subject`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.notifier import store
from services.notifier.actions import telling
from services.notifier.domain.alerts import (
    AlertState,
    Evidence,
    Problem,
    Replacement,
    is_over,
    is_worse,
    merged,
    worst,
)
from services.notifier.domain.evidence import channel_subject
from services.notifier.domain.notices import Turn, headline, resolved_headline
from shared.events.notifier import AlertOpened, AlertResolved, Severity
from shared.ids import new_id
from shared.store import Transaction

_TELLING = (Turn.OPENED, Turn.RAISED)


@dataclass(frozen=True, kw_only=True)
class News:
    """Evidence, and the ids of rules of which a threshold was crossed: they tell of it, even if it is no more severe."""

    evidence: Evidence
    crossed: Collection[str] = ()


async def tell(tx: Transaction, evidence: Evidence, *, now: datetime) -> None:
    """Let evidence open an alert or raise its severity; nothing where an observation has overtaken it."""
    await tell_all(tx, [News(evidence=evidence)], now=now)


async def tell_all(tx: Transaction, news: Sequence[News], *, now: datetime) -> None:
    """Let evidence about different subjects do what `tell` says, all at once: what is read, is read once for all."""
    names = await store.lock_subjects(
        tx, {each.evidence.subject: each.evidence.name for each in news}, now=now
    )
    replacements = await store.replacements_of(tx.session, names)
    news = [each for each in news if not is_over(each.evidence, replacements)]
    earlier = await store.earlier_evidence(tx.session, [each.evidence for each in news])
    news = [
        replace(each, evidence=merged(each.evidence, earlier.get(store.identity(each.evidence))))
        for each in news
    ]
    await store.keep_evidence(tx, [each.evidence for each in news])
    subjects = {each.evidence.subject for each in news}
    alerts = {
        (alert.subject, alert.problem): alert for alert in await store.open_alerts(tx.session, subjects)
    }
    opened = []
    for each in news:
        stands = each.evidence
        name = names[stands.subject] or _nameless(stands.subject)
        words = headline(stands.problem, name=name, details=stands.details, now=now)
        alert = alerts.get((stands.subject, stands.problem))
        if alert is None:
            opened.append((_opened(tx, stands, words=words, now=now), each.crossed))
        else:
            await _go_on(tx, alert, each, words=words, now=now)
    await tx.session.flush()
    await telling.tell_first(tx, opened, now=now)
    for alert, _ in opened:
        _emit(tx, alert, turn=Turn.OPENED, now=now)


async def _go_on(tx: Transaction, alert: store.Alert, news: News, *, words: str, now: datetime) -> None:
    stands, crossed = news.evidence, news.crossed
    if is_worse(stands.severity, Severity(alert.severity)):
        _update(alert, stands, words=words, now=now)
        alert.severity = stands.severity
        # What was acknowledged, or put off, was less than this.
        alert.acknowledged_at = alert.acknowledged_by = alert.snoozed_until = alert.snoozed_by = None
        await take_turn(tx, alert, turn=Turn.RAISED, text=words, crossed=crossed, now=now)
    elif crossed:
        _update(alert, stands, words=words, now=now)
        await take_turn(tx, alert, turn=Turn.CROSSED, text=words, crossed=crossed, now=now)
    elif words != alert.summary and not is_worse(Severity(alert.severity), stands.severity):
        _update(alert, stands, words=words, now=now)
        await take_turn(tx, alert, turn=Turn.NOTED, text=words, now=now)


def _opened(tx: Transaction, evidence: Evidence, *, words: str, now: datetime) -> store.Alert:
    alert = store.Alert(
        id=new_id(),
        subject=evidence.subject,
        lineage_id=evidence.lineage_id,
        fingerprint=evidence.fingerprint,
        problem=evidence.problem,
        severity=evidence.severity,
        summary=words,
        details=evidence.details.model_dump(mode="json"),
        state=AlertState.OPEN,
        turns=0,
        opened_at=now,
        updated_at=now,
    )
    tx.session.add(alert)
    remember(tx, alert, turn=Turn.OPENED, text=words, now=now)
    return alert


def _update(alert: store.Alert, evidence: Evidence, *, words: str, now: datetime) -> None:
    alert.fingerprint = evidence.fingerprint
    alert.summary = words
    alert.details = evidence.details.model_dump(mode="json")
    alert.updated_at = now


async def end(tx: Transaction, replacement: Replacement, *, reason: str, now: datetime) -> None:
    """Take away what a replacement has ended, and resolve the alerts that nothing stands for any more: for this reason."""
    name = await store.lock_subject(tx, replacement.subject, name=None, now=now)
    await store.keep_replacement(tx, replacement)
    for alert in await store.open_alerts(tx.session, [replacement.subject]):
        standing = await store.standing_evidence(tx.session, subject=alert.subject, problem=alert.problem)
        left = [evidence for evidence in standing if not is_over(evidence, [replacement])]
        if len(left) == len(standing):
            continue
        over = {evidence.key for evidence in standing} - {evidence.key for evidence in left}
        await store.drop_evidence(tx, subject=alert.subject, problem=alert.problem, keys=over)
        if left:
            _show_worst(alert, left, name=name or _nameless(alert.subject), now=now)
            await take_turn(tx, alert, turn=Turn.NOTED, text=alert.summary, now=now)
        else:
            await resolve(tx, alert, name=name, reason=reason, now=now)


def _show_worst(alert: store.Alert, standing: Sequence[Evidence], *, name: str, now: datetime) -> None:
    top = worst([evidence.severity for evidence in standing])
    shown = next(evidence for evidence in standing if evidence.severity == top)
    words = headline(shown.problem, name=name, details=shown.details, now=now)
    _update(alert, shown, words=words, now=now)


async def resolve(
    tx: Transaction, alert: store.Alert, *, name: str | None, reason: str, now: datetime
) -> None:
    """Close an alert because of what was observed."""
    alert.state = AlertState.RESOLVED
    alert.resolved_at = alert.updated_at = now
    alert.resolved_because = reason
    words = resolved_headline(alert.problem, name=name or _nameless(alert.subject))
    await take_turn(tx, alert, turn=Turn.RESOLVED, text=words, now=now)


async def note(tx: Transaction, subject: str, *, name: str | None, text: str, now: datetime) -> None:
    """Write a line into the history of every open alert of a subject; nobody is told."""
    await store.lock_subject(tx, subject, name=name, now=now)
    for alert in await store.open_alerts(tx.session, [subject]):
        await take_turn(tx, alert, turn=Turn.NOTED, text=text, now=now)


async def take_turn(
    tx: Transaction,
    alert: store.Alert,
    *,
    turn: Turn,
    text: str,
    crossed: Collection[str] = (),
    now: datetime,
    by: str | None = None,
) -> None:
    """Remember a turn, emit it, and put it on its way to whoever is to be told."""
    remember(tx, alert, turn=turn, text=text, now=now, by=by)
    await tx.session.flush()
    if turn in _TELLING:
        await telling.tell_first(tx, [(alert, crossed)], now=now)
    elif turn is Turn.CROSSED and alert.snoozed_until is None:
        await telling.tell_crossed(tx, alert, crossed=crossed, now=now)
    elif turn is Turn.ACKNOWLEDGED:
        await telling.tell_acknowledged(tx, alert, number=alert.turns, now=now)
    elif turn is Turn.RESOLVED:
        await telling.tell_end(tx, alert, number=alert.turns, now=now)
    _emit(tx, alert, turn=turn, now=now)


def remember(
    tx: Transaction, alert: store.Alert, *, turn: Turn, text: str, now: datetime, by: str | None = None
) -> None:
    """Write a turn into an alert's history."""
    alert.turns += 1
    entry = store.Entry(
        alert_id=alert.id,
        number=alert.turns,
        turn=turn,
        at=now,
        severity=alert.severity,
        text=text,
        details=alert.details,
        by=by,
    )
    tx.session.add(entry)


async def tell_newcomers(tx: Transaction, alert: store.Alert, *, now: datetime) -> None:
    """Tell an open alert to who would have been told of it, had its lineage been in its groups by then."""
    numbers = await store.last_told(tx.session, [alert.id], turns=_TELLING)
    if alert.id in numbers:
        await telling.tell_newcomers(tx, alert, number=numbers[alert.id], now=now)


async def tell_newcomer(
    tx: Transaction, alerts: Sequence[store.Alert], channel_id: str, *, now: datetime
) -> int:
    """Tell open alerts through a channel that has heard nothing of them, where rules name it; return how many."""
    numbers = await store.last_told(tx.session, [alert.id for alert in alerts], turns=_TELLING)
    told = [(alert, numbers[alert.id]) for alert in alerts if alert.id in numbers]
    return await telling.tell_newcomer(tx, told, channel_id, now=now)


def _emit(tx: Transaction, alert: store.Alert, *, turn: Turn, now: datetime) -> None:
    if turn in _TELLING:
        opened = AlertOpened(
            alert_id=alert.id,
            lineage_id=alert.lineage_id,
            problem=alert.problem,
            severity=Severity(alert.severity),
            summary=alert.summary,
            opened_at=alert.opened_at,
        )
        tx.emit(opened, now=now)
    elif turn is Turn.RESOLVED:
        resolved = AlertResolved(
            alert_id=alert.id,
            lineage_id=alert.lineage_id,
            problem=alert.problem,
            reason=alert.resolved_because or "",
            resolved_at=now,
        )
        tx.emit(resolved, now=now)


async def report_channel(tx: Transaction, evidence: Evidence, *, now: datetime) -> None:
    """Open the alert about a channel that does not deliver, where it is not open yet."""
    if await store.open_alert(tx.session, subject=evidence.subject, problem=Problem.CHANNEL_DEAD) is None:
        await tell(tx, evidence, now=now)


async def clear_channel(tx: Transaction, channel: store.Channel, *, answer: str, now: datetime) -> None:
    """Resolve the alert about a channel that was seen to deliver. The caller holds the channel's subject."""
    subject = channel_subject(channel.id)
    alert = await store.open_alert(tx.session, subject=subject, problem=Problem.CHANNEL_DEAD)
    if alert is not None:
        keys = {channel.id}
        await store.drop_evidence(tx, subject=subject, problem=Problem.CHANNEL_DEAD, keys=keys)
        await resolve(tx, alert, name=channel.name, reason=f"It delivered: {answer}", now=now)


def _nameless(subject: str) -> str:
    return f"The certificate of lineage {subject}"
