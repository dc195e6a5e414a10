"""Puts a turn of an alert on its way to people: which rules tell of it, through which channels, and what they do next.

All of it is for a transaction that holds the alert's subject (`store.lock_subject`).
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from services.notifier import store
from services.notifier.connectors.registry import channel_kind, gathering, reaches, takes_acknowledgements
from services.notifier.domain.deliveries import DeliveryState
from services.notifier.domain.evidence import channel_subject
from services.notifier.domain.hours import next_multiple
from services.notifier.domain.plans import Level, Plan
from services.notifier.domain.routing import (
    Concern,
    Reachable,
    Routing,
    Telling,
    first_level,
    matching,
    tellings,
)
from shared.events.notifier import Severity
from shared.ids import new_id
from shared.store import Transaction


async def concern_of(tx: Transaction, alert: store.Alert) -> Concern:
    """Return what rules ask of an alert."""
    return Concern(
        problem=alert.problem,
        severity=Severity(alert.severity),
        groups=await store.groups_of(tx.session, alert),
        facts=await store.facts_of(tx.session, alert.lineage_id),
        is_late=alert.lineage_id is not None and await store.is_late(tx.session, alert.lineage_id),
    )


def routing(rule: store.Rule) -> Routing:
    """Return what a rule's row says."""
    return Routing(
        id=rule.id,
        min_severity=Severity(rule.min_severity),
        problems=frozenset(rule.problems),
        channels=frozenset(rule.channels) if rule.channels is not None else None,
        groups=frozenset(rule.groups),
        plan=Plan.model_validate(rule.plan),
    )


async def tell_first(
    tx: Transaction, alert: store.Alert, *, number: int, crossed: Collection[str] = (), now: datetime
) -> None:
    """Tell a turn to whom rules tell first, and let them pursue the alert from now on."""
    rules = [routing(rule) for rule in await store.all_rules(tx.session)]
    await _tell(tx, alert, rules, number=number, crossed=crossed, now=now)


async def tell_crossed(
    tx: Transaction, alert: store.Alert, *, number: int, crossed: Collection[str], now: datetime
) -> None:
    """Tell a turn by the rules of which a threshold was crossed, and by no others."""
    rules = [routing(rule) for rule in await store.all_rules(tx.session) if rule.id in crossed]
    await _tell(tx, alert, rules, number=number, crossed=crossed, now=now)


async def _tell(
    tx: Transaction,
    alert: store.Alert,
    rules: Sequence[Routing],
    *,
    number: int,
    crossed: Collection[str],
    now: datetime,
) -> None:
    if alert.muted_at is not None:
        return
    concern = await concern_of(tx, alert)
    telling = matching(rules, concern, crossed=crossed)
    steps = [(rule, first_level(rule)) for rule in telling]
    await tell_steps(tx, alert, steps, concern=concern, number=number, now=now)
    await _pursue(tx, alert, telling, now=now)


async def tell_newcomers(tx: Transaction, alert: store.Alert, *, number: int, now: datetime) -> None:
    """Tell a turn again through channels that have heard nothing of the alert."""
    if alert.muted_at is not None:
        return
    concern = await concern_of(tx, alert)
    began = {each.rule_id for each in await store.pursuits_of(tx, alert.id)}
    rules = matching(map(routing, await store.all_rules(tx.session)), concern, crossed=began)
    told = await store.channels_told(tx.session, alert.id)
    steps = [(rule, first_level(rule)) for rule in rules]
    await tell_steps(tx, alert, steps, concern=concern, number=number, but=told, now=now)
    await _pursue(tx, alert, [rule for rule in rules if rule.id not in began], now=now)


async def tell_steps(
    tx: Transaction,
    alert: store.Alert,
    steps: Sequence[tuple[Routing, Level]],
    *,
    concern: Concern,
    number: int,
    but: Collection[str] = (),
    now: datetime,
) -> None:
    """Tell a turn to whom these rules name at these levels, but not through the channels `but`."""
    enabled = await _enabled(tx, alert) if steps else {}
    told = tellings(steps, concern, enabled=enabled, now=now)
    for channel_id, telling in told.items():
        if channel_id not in but:
            bounded = await _bounded(tx, channel_id, telling, enabled[channel_id], now=now)
            tx.session.add(_delivery(alert, channel_id, bounded, number=number, now=now))
    await tx.session.flush()


async def _pursue(tx: Transaction, alert: store.Alert, rules: Sequence[Routing], *, now: datetime) -> None:
    rows = []
    for rule in rules:
        began_at = rule.plan.when(now, severity=Severity(alert.severity))
        next_at = rule.plan.next_pursuit(level=0, began_at=began_at, told_at=began_at)
        if alert.acknowledged_at is not None:
            next_at = None
        rows.append(
            store.Pursuit(
                alert_id=alert.id, rule_id=rule.id, began_at=began_at, told_at=began_at, next_at=next_at
            )
        )
    await store.begin_pursuits(tx, rows)


async def tell_end(tx: Transaction, alert: store.Alert, *, number: int, now: datetime) -> None:
    """Tell that it is over to who was told of it, whatever rules say by now; nobody goes on about it.

    What was to be told later is not told at all, and who has heard nothing hears nothing of the end.
    """
    await store.end_pursuits(tx, alert_id=alert.id)
    await store.withdraw(tx, alert.id, now=now)
    told = await store.channels_told(tx.session, alert.id)
    for channel_id, channel in (await _enabled(tx, alert)).items():
        if channel_id in told:
            telling = await _bounded(tx, channel_id, _end(told[channel_id], now=now), channel, now=now)
            tx.session.add(_delivery(alert, channel_id, telling, number=number, now=now))
    await tx.session.flush()


async def tell_acknowledged(tx: Transaction, alert: store.Alert, *, number: int, now: datetime) -> None:
    """Tell who was told and goes on about it until somebody takes it up: they page nobody any more."""
    told = await store.channels_told(tx.session, alert.id)
    for channel_id, kind, _, _ in await store.enabled_channels(tx.session):
        if channel_id in told and takes_acknowledgements(channel_kind(kind)):
            tx.session.add(
                _delivery(alert, channel_id, _end(told[channel_id], now=now), number=number, now=now)
            )
    await tx.session.flush()


def _end(told: store.Told, *, now: datetime) -> Telling:
    every = timedelta(seconds=told.digest_every) if told.digest_every else None
    return Telling(
        at=next_multiple(now, every=every) if every else now,
        is_own=told.is_own,
        addressed=told.addressed,
        digest_every=every,
    )


async def _enabled(tx: Transaction, alert: store.Alert) -> Mapping[str, Reachable]:
    return {
        channel_id: Reachable(
            groups=groups,
            reaches=reaches(channel_kind(kind)),
            gathering=gathering(channel_kind(kind), options),
        )
        for channel_id, kind, groups, options in await store.enabled_channels(tx.session)
        if channel_subject(channel_id) != alert.subject
    }


async def _bounded(
    tx: Transaction, channel_id: str, telling: Telling, channel: Reachable, *, now: datetime
) -> Telling:
    """Return a telling, or where very many come at once the same as part of a digest."""
    bounds = channel.gathering
    if bounds is None or telling.digest_every is not None:
        return telling
    since = now - bounds.window
    lately = await store.count_since(tx.session, channel_id, since=since, most=bounds.burst)
    if lately < bounds.burst:
        return telling
    at = max(telling.at, next_multiple(now, every=bounds.window))
    return Telling(at=at, is_own=telling.is_own, addressed=telling.addressed, digest_every=bounds.window)


def _delivery(
    alert: store.Alert, channel_id: str, telling: Telling, *, number: int, now: datetime
) -> store.Delivery:
    every = telling.digest_every
    return store.Delivery(
        id=new_id(),
        alert_id=alert.id,
        number=number,
        channel_id=channel_id,
        is_own=telling.is_own,
        addressed=sorted(telling.addressed),
        digest_every=round(every.total_seconds()) if every else None,
        state=DeliveryState.PENDING,
        next_attempt_at=telling.at,
        told=[],
        refused={},
        created_at=now,
    )
