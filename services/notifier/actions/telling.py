"""Puts a turn of an alert on its way to people: which rules tell of it, through which channels, and what they do next.

All of it is for a transaction that holds the alert's subject (`store.lock_subject`).
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Self

from services.notifier import store
from services.notifier.connectors.registry import channel_kind, gathering, reaches, takes_acknowledgements
from services.notifier.domain.deliveries import DeliveryState
from services.notifier.domain.evidence import channel_subject
from services.notifier.domain.facts import Facts
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
    return (await _concerns_of(tx, [alert]))[alert.id]


async def _concerns_of(tx: Transaction, alerts: Sequence[store.Alert]) -> dict[str, Concern]:
    """Return what rules ask of alerts, by their ids."""
    lineages = {alert.lineage_id for alert in alerts if alert.lineage_id is not None}
    groups = await store.SUBJECTS.of_each(tx.session, {store.about(alert) for alert in alerts})
    facts = await store.facts_of(tx.session, lineages)
    late = await store.late_among(tx.session, lineages)
    return {
        alert.id: Concern(
            problem=alert.problem,
            severity=Severity(alert.severity),
            groups=groups[store.about(alert)],
            facts=facts.get(alert.lineage_id or "", Facts()),
            is_late=alert.lineage_id in late,
        )
        for alert in alerts
    }


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


Opened = tuple[store.Alert, Collection[str]]
"""An alert, and the ids of rules of which a threshold was crossed."""


async def tell_first(tx: Transaction, alerts: Sequence[Opened], *, now: datetime) -> None:
    """Tell the last turn of alerts to whom rules tell first, and let them pursue the alerts from now on."""
    rules = await _rules(tx) if alerts else []
    await _tell(tx, alerts, rules, now=now)


async def tell_crossed(
    tx: Transaction, alert: store.Alert, *, crossed: Collection[str], now: datetime
) -> None:
    """Tell the last turn by the rules of which a threshold was crossed, and by no others."""
    rules = [rule for rule in await _rules(tx) if rule.id in crossed]
    await _tell(tx, [(alert, crossed)], rules, now=now)


async def _rules(tx: Transaction) -> list[Routing]:
    return [routing(rule) for rule in await store.all_rules(tx.session)]


async def _tell(
    tx: Transaction, alerts: Sequence[Opened], rules: Sequence[Routing], *, now: datetime
) -> None:
    audible = [each for each in alerts if each[0].muted_at is None]
    if not audible or not rules:
        return
    concerns = await _concerns_of(tx, [alert for alert, _ in audible])
    desk = await Desk.opened(tx, now=now)
    pursuits: list[store.Pursuit] = []
    for alert, crossed in audible:
        telling = matching(rules, concerns[alert.id], crossed=crossed)
        steps = [(rule, first_level(rule)) for rule in telling]
        await desk.tell(alert, steps, concern=concerns[alert.id], number=alert.turns)
        pursuits += _pursuits(alert, telling, now=now)
    await tx.session.flush()
    await store.begin_pursuits(tx, pursuits)


async def tell_newcomers(tx: Transaction, alert: store.Alert, *, number: int, now: datetime) -> None:
    """Tell a turn again through channels that have heard nothing of the alert."""
    if alert.muted_at is not None:
        return
    concern = await concern_of(tx, alert)
    began = {each.rule_id for each in await store.pursuits_of(tx, alert.id)}
    rules = matching(await _rules(tx), concern, crossed=began)
    told = await store.channels_told(tx.session, alert.id)
    steps = [(rule, first_level(rule)) for rule in rules]
    await tell_steps(tx, alert, steps, concern=concern, number=number, but=told, now=now)
    new = [rule for rule in rules if rule.id not in began]
    await store.begin_pursuits(tx, _pursuits(alert, new, now=now))


async def tell_newcomer(
    tx: Transaction, alerts: Sequence[tuple[store.Alert, int]], channel_id: str, *, now: datetime
) -> int:
    """Tell turns of alerts, by their numbers, through one channel that has heard nothing of them; return how many.

    A rule that names it and is younger than the alert pursues it from now on.
    """
    if not alerts:
        return 0
    concerns = await _concerns_of(tx, [alert for alert, _ in alerts])
    began = await store.pursuing(tx, concerns)
    rules = await _rules(tx)
    desk = await Desk.opened(tx, only=channel_id, now=now)
    pursuits: list[store.Pursuit] = []
    count = 0
    for alert, number in alerts:
        concern, old = concerns[alert.id], began.get(alert.id, set())
        steps = [(rule, first_level(rule)) for rule in matching(rules, concern, crossed=old)]
        steps = [step for step in steps if desk.is_named(alert, step, concern=concern)]
        await desk.tell(alert, steps, concern=concern, number=number)
        pursuits += _pursuits(alert, [rule for rule, _ in steps if rule.id not in old], now=now)
        count += bool(steps)
    await tx.session.flush()
    await store.begin_pursuits(tx, pursuits)
    return count


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
    if steps:
        desk = await Desk.opened(tx, now=now)
        await desk.tell(alert, steps, concern=concern, number=number, but=but)
    await tx.session.flush()


def _pursuits(alert: store.Alert, rules: Sequence[Routing], *, now: datetime) -> list[store.Pursuit]:
    """Return what rules do about an alert from now on."""
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
    return rows


class Desk:
    """The channels that may be used, and how much each has taken lately: read once for all that a transaction tells."""

    def __init__(self, tx: Transaction, channels: Mapping[str, Reachable], *, now: datetime) -> None:
        self._tx = tx
        self._channels = channels
        self._lately: dict[str, int] = {}
        self._now = now

    @classmethod
    async def opened(cls, tx: Transaction, *, only: str | None = None, now: datetime) -> Self:
        """Return it as it is in this transaction: with all channels, or with one alone."""
        channels = {
            channel_id: Reachable(
                groups=groups,
                reaches=reaches(channel_kind(kind)),
                gathering=gathering(channel_kind(kind), options),
            )
            for channel_id, kind, groups, options in await store.enabled_channels(tx.session)
            if only in (None, channel_id)
        }
        return cls(tx, channels, now=now)

    async def tell(
        self,
        alert: store.Alert,
        steps: Sequence[tuple[Routing, Level]],
        *,
        concern: Concern,
        number: int,
        but: Collection[str] = (),
    ) -> None:
        """Tell a turn to whom these rules name at these levels, but not through the channels `but`."""
        for channel_id, telling in tellings(steps, concern, enabled=self._for(alert), now=self._now).items():
            if channel_id not in but:
                await self._add(alert, channel_id, telling, number=number)

    def is_named(self, alert: store.Alert, step: tuple[Routing, Level], *, concern: Concern) -> bool:
        """Return whether a rule at a level tells of an alert through any of the channels."""
        return bool(tellings([step], concern, enabled=self._for(alert), now=self._now))

    async def tell_end(self, alert: store.Alert, told: Mapping[str, store.Told], *, number: int) -> None:
        """Tell a turn to who was told of the alert."""
        for channel_id in self._for(alert):
            if channel_id in told:
                await self._add(alert, channel_id, _end(told[channel_id], now=self._now), number=number)

    def _for(self, alert: store.Alert) -> Mapping[str, Reachable]:
        """Return the channels but that which an alert is about: it would not hear of it."""
        return {
            channel_id: channel
            for channel_id, channel in self._channels.items()
            if channel_subject(channel_id) != alert.subject
        }

    async def _add(self, alert: store.Alert, channel_id: str, telling: Telling, *, number: int) -> None:
        bounded = await self._bounded(channel_id, telling)
        self._tx.session.add(_delivery(alert, channel_id, bounded, number=number, now=self._now))

    async def _bounded(self, channel_id: str, telling: Telling) -> Telling:
        """Return a telling, or where very many come at once the same as part of a digest."""
        bounds = self._channels[channel_id].gathering
        if bounds is None or telling.digest_every is not None:
            return telling
        if channel_id not in self._lately:
            self._lately[channel_id] = await store.count_since(
                self._tx.session, channel_id, since=self._now - bounds.window, most=bounds.burst
            )
        if self._lately[channel_id] < bounds.burst:
            self._lately[channel_id] += 1
            return telling
        at = max(telling.at, next_multiple(self._now, every=bounds.window))
        return Telling(at=at, is_own=telling.is_own, addressed=telling.addressed, digest_every=bounds.window)


async def tell_end(tx: Transaction, alert: store.Alert, *, number: int, now: datetime) -> None:
    """Tell that it is over to who was told of it, whatever rules say by now; nobody goes on about it.

    What was to be told later is not told at all, and who has heard nothing hears nothing of the end.
    """
    await store.end_pursuits(tx, alert_id=alert.id)
    await store.withdraw(tx, alert.id, now=now)
    told = await store.channels_told(tx.session, alert.id)
    if told:
        desk = await Desk.opened(tx, now=now)
        await desk.tell_end(alert, told, number=number)
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
