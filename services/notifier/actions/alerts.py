"""Alerts: opened and ended by events, read and acknowledged by people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.notifier import store
from services.notifier.actions import turns
from services.notifier.domain.alerts import AlertState, Evidence, Replacement
from services.notifier.domain.notices import Turn
from services.notifier.domain.text import clean
from shared.access import Principal
from shared.errors import Conflict, NotFound
from shared.store import Database, Transaction


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

    async def end(self, tx: Transaction, replacement: Replacement, *, reason: str, now: datetime) -> None:
        """Take in that a certificate was seen to be replaced everywhere, or a source to be read again."""
        await turns.end(tx, replacement, reason=reason, now=now)

    async def note(
        self, tx: Transaction, lineage_id: str, *, text: str, now: datetime, name: str | None = None
    ) -> None:
        """Take in progress: it is written down with the lineage's open alerts, and ends none."""
        await turns.note(tx, lineage_id, name=name, text=text, now=now)

    async def page(self, *, only: Mapping[str, str], after: str | None, limit: int) -> Sequence[store.Alert]:
        """Return up to `limit + 1` alerts, newest first."""
        async with self._database.read() as session:
            return await store.alerts_page(session, only=only, after=after, limit=limit)

    async def get(self, alert_id: str) -> Story:
        """Return one alert with its history. Raises `NotFound`."""
        async with self._database.read() as session:
            alert = _found(await session.get(store.Alert, alert_id))
            history = await store.history_of(session, alert_id)
            return Story(
                alert=alert, history=history, deliveries=await store.deliveries_of(session, alert_id)
            )

    async def acknowledge(self, alert_id: str, *, text: str, caller: Principal, now: datetime) -> Story:
        """Write down that somebody has taken it up; it stays open. Raises `NotFound` or `Conflict`."""
        async with self._database.transaction() as tx:
            subject = _found(await tx.session.get(store.Alert, alert_id)).subject
            await store.lock_subject(tx, subject, name=None, now=now)
            alert = await tx.session.get_one(store.Alert, alert_id, populate_existing=True)
            if alert.state != AlertState.OPEN:
                raise Conflict("The alert is resolved.", next_step="Nothing: the problem is over.")
            alert.acknowledged_at = alert.updated_at = now
            alert.acknowledged_by = caller.id
            words = f"Acknowledged by {caller.name}" + (f": {text}" if text else "")
            await turns.take_turn(
                tx, alert, turn=Turn.ACKNOWLEDGED, text=clean(words, most=2000), now=now, by=caller.id
            )
        return await self.get(alert_id)


def _found(alert: store.Alert | None) -> store.Alert:
    if alert is None:
        raise NotFound("There is no such alert.", next_step="List them at GET /v1/alerts.")
    return alert
