"""Alerts: opened and ended by events, read and acknowledged by people."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from services.notifier import store
from services.notifier.actions import turns
from services.notifier.actions.pursuits import wake
from services.notifier.domain.alerts import AlertState, Details, Evidence, Problem, Replacement
from services.notifier.domain.approvals import approval_subject, of_override
from services.notifier.domain.notices import Turn
from services.notifier.domain.text import clean, instant
from shared.access import Principal
from shared.errors import Conflict, Fault, Invalid, NotFound
from shared.events.approvals import Settled
from shared.events.inventory import LineagesGrouped
from shared.store import Database, Transaction

OVERTAKEN = timedelta(minutes=10)
"""An alert that was opened longer ago than the groups of its lineage are told was not meant for them."""

LONGEST_SNOOZE = timedelta(days=90)


@dataclass(frozen=True, kw_only=True)
class Story:
    """An alert with all that has happened to it."""

    alert: store.Alert
    history: Sequence[store.Entry]
    deliveries: Sequence[store.Delivery]


class Alerts:
    """The verbs on alerts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tell(self, tx: Transaction, evidence: Evidence, *, now: datetime) -> None:
        """Take in evidence of a problem."""
        await turns.tell(tx, evidence, now=now)

    async def tell_all(self, tx: Transaction, evidence: Sequence[Evidence], *, now: datetime) -> None:
        """Take in evidence about different subjects."""
        await turns.tell_all(tx, [turns.News(evidence=each) for each in evidence], now=now)

    async def grouped(self, tx: Transaction, told: LineagesGrouped, *, at: datetime, now: datetime) -> None:
        """Remember which groups lineages are in: who may see the alerts about them, and is told.

        That a certificate is in trouble can be told before its groups are: who missed that is told now.
        """
        await store.SUBJECTS.tell(tx, told.group_id, joined=told.joined, left=told.left, at=at)
        await store.look_again(tx, lineage_ids=sorted(told.joined), now=now)
        for alert in await store.opened_lately(tx.session, told.joined, since=now - OVERTAKEN):
            await store.lock_subject(tx, alert.subject, name=None, now=now)
            await tx.session.refresh(alert)
            if alert.state == AlertState.OPEN:
                await turns.tell_newcomers(tx, alert, now=now)

    async def begun(self, tx: Transaction, lineage_id: str, groups: Collection[str], *, at: datetime) -> None:
        """Remember the groups that a lineage was begun in."""
        await store.SUBJECTS.add(tx, lineage_id, groups, at=at)

    async def in_groups(
        self, tx: Transaction, subject: str, groups: Collection[str], *, at: datetime
    ) -> None:
        """Remember all groups that a subject which is no lineage is in."""
        await store.SUBJECTS.replace(tx, subject, groups, at=at)

    async def end(self, tx: Transaction, replacement: Replacement, *, reason: str, now: datetime) -> None:
        """Take in that a certificate was seen to be replaced everywhere, or a source to be read again."""
        await turns.end(tx, replacement, reason=reason, now=now)

    async def overridden(self, tx: Transaction, told: Settled, *, now: datetime) -> None:
        """Raise the alert about an approval that was overridden, where it is open."""
        subject = approval_subject(told.approval_id)
        alert = await store.open_alert(tx.session, subject=subject, problem=Problem.AWAITING_APPROVAL)
        if alert is not None:
            details = Details.model_validate(alert.details)
            evidence = of_override(told, lineage_id=alert.lineage_id, details=details)
            if evidence is not None:
                await turns.tell(tx, evidence, now=now)

    async def note(
        self, tx: Transaction, lineage_id: str, *, text: str, now: datetime, name: str | None = None
    ) -> None:
        """Take in progress: it is written down with the lineage's open alerts, and ends none."""
        await turns.note(tx, lineage_id, name=name, text=text, now=now)

    async def page(
        self, *, only: Mapping[str, str], after: str | None, limit: int, caller: Principal
    ) -> Sequence[store.Alert]:
        """Return up to `limit + 1` alerts that the caller sees, newest first."""
        async with self._database.read() as session:
            return await store.alerts_page(session, only=only, after=after, limit=limit, scope=caller.scope)

    async def get(self, alert_id: str, *, caller: Principal) -> Story:
        """Return one alert with its history. Raises `NotFound`."""
        async with self._database.read() as session:
            alert = await _seen(session, await session.get(store.Alert, alert_id), caller=caller)
            history = await store.history_of(session, alert_id)
            deliveries = await store.deliveries_of(session, alert_id, scope=caller.scope)
        return Story(alert=alert, history=history, deliveries=deliveries)

    async def acknowledge(self, alert_id: str, *, text: str, caller: Principal, now: datetime) -> Story:
        """Write down that somebody has taken it up; it stays open. Raises `NotFound` or `Conflict`."""
        async with self._held(alert_id, caller=caller, now=now) as (tx, alert):
            alert.acknowledged_at = alert.updated_at = now
            alert.acknowledged_by = caller.id
            await store.postpone_pursuits(tx, alert.id, until=None)
            words = f"Acknowledged by {caller.name}" + (f": {text}" if text else "")
            await _turn(tx, alert, Turn.ACKNOWLEDGED, words, caller=caller, now=now)
        return await self.get(alert_id, caller=caller)

    async def snooze(
        self, alert_id: str, *, until: datetime, text: str, caller: Principal, now: datetime
    ) -> Story:
        """Let nobody be told until then, unless it becomes more severe. Raises `NotFound`, `Conflict` or `Invalid`."""
        async with self._held(alert_id, caller=caller, now=now) as (tx, alert):
            _check_end(until, now=now)
            alert.snoozed_until, alert.snoozed_by, alert.updated_at = until, caller.id, now
            await store.postpone_pursuits(tx, alert.id, until=until)
            words = f"Put off until {instant(until)} by {caller.name}" + (f": {text}" if text else "")
            await _turn(tx, alert, Turn.SNOOZED, words, caller=caller, now=now)
        return await self.get(alert_id, caller=caller)

    async def mute(self, alert_id: str, *, reason: str, caller: Principal, now: datetime) -> Story:
        """Let nobody be told until it is over, however severe it becomes. Raises `NotFound` or `Conflict`."""
        async with self._held(alert_id, caller=caller, now=now) as (tx, alert):
            alert.muted_at = alert.updated_at = now
            alert.muted_by, alert.muted_because = caller.id, reason
            await store.postpone_pursuits(tx, alert.id, until=None)
            await _turn(tx, alert, Turn.MUTED, f"Muted by {caller.name}: {reason}", caller=caller, now=now)
        return await self.get(alert_id, caller=caller)

    async def wake(self, alert_id: str, *, caller: Principal, now: datetime) -> Story:
        """End what keeps an alert from being told, and tell it again. Raises `NotFound` or `Conflict`."""
        async with self._held(alert_id, caller=caller, now=now) as (tx, alert):
            if alert.snoozed_until is None and alert.muted_at is None:
                raise Conflict("The alert is not silent.", next_step="Nothing: it is told as its rules say.")
            alert.updated_at = now
            await wake(tx, alert, text=f"Woken by {caller.name}", now=now, by=caller.id)
        return await self.get(alert_id, caller=caller)

    @asynccontextmanager
    async def _held(
        self, alert_id: str, *, caller: Principal, now: datetime
    ) -> AsyncIterator[tuple[Transaction, store.Alert]]:
        """Hold an open alert that the caller sees for as long as it is changed."""
        async with self._database.transaction() as tx:
            row = await tx.session.get(store.Alert, alert_id)
            subject = (await _seen(tx.session, row, caller=caller)).subject
            await store.lock_subject(tx, subject, name=None, now=now)
            alert = await tx.session.get_one(store.Alert, alert_id, populate_existing=True)
            if alert.state != AlertState.OPEN:
                raise Conflict("The alert is resolved.", next_step="Nothing: the problem is over.")
            yield tx, alert


def _check_end(until: datetime, *, now: datetime) -> None:
    if not now < until <= now + LONGEST_SNOOZE:
        raise Invalid(
            f"An alert is put off for {LONGEST_SNOOZE.days} days at most.",
            next_step="Choose an instant in the future that is not further away, or mute it with a reason.",
            faults=[Fault(pointer="/body/until", message="not within the time that is allowed")],
        )


async def _turn(
    tx: Transaction, alert: store.Alert, turn: Turn, words: str, *, caller: Principal, now: datetime
) -> None:
    await turns.take_turn(tx, alert, turn=turn, text=clean(words, most=2000), now=now, by=caller.id)


async def _seen(session: AsyncSession, alert: store.Alert | None, *, caller: Principal) -> store.Alert:
    if alert is None or not caller.sees(await store.groups_of(session, alert)):
        raise NotFound("There is no such alert.", next_step="List them at GET /v1/alerts.")
    return alert
