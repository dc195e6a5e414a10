"""What subscriptions go through, by number: the events that are kept, and the audit trail."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import anyio

from services.notifier.connectors.consumers import Item
from services.notifier.domain.subscriptions import CONSUMABLE, Log, groups_of, is_about
from services.notifier.store import subscriptions as store
from services.notifier.store import trail
from services.notifier.store.subscriptions import Subscription
from shared.clock import Clock
from shared.events import Event
from shared.store import Database, Transaction
from shared.store.scopes import Scope

_LOOK_AGAIN = timedelta(seconds=1)
"""What another replica has kept is found by looking."""
_KEPT = tuple(CONSUMABLE)


class Logs:
    """Keeps events, and reads both logs."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._bell = anyio.Event()

    async def keep(self, tx: Transaction, events: Sequence[Event[Any]]) -> None:
        """Keep those events that consumers may subscribe to."""
        now = self._clock()
        rows = [_row(event, now=now) for event in events if isinstance(event.data, _KEPT)]
        if rows and await store.keep_events(tx, rows):
            await store.wake_subscriptions(tx, Log.EVENTS, now=now)
            tx.after_commit(self.ring)

    def ring(self) -> None:
        """Wake who waits for news."""
        self._bell.set()
        self._bell = anyio.Event()

    async def news(self) -> None:
        """Return when there may be something new."""
        with anyio.move_on_after(_LOOK_AGAIN.total_seconds()):
            await self._bell.wait()

    async def read(
        self, row: Subscription, *, after: int, limit: int, now: datetime
    ) -> tuple[Sequence[Item], int]:
        """Return what a subscription is to get after a number, and up to which number all was looked at."""
        async with self._database.read() as session:
            if row.log == Log.AUDIT:
                entries = await trail.entries_after(session, after, limit=limit)
                return [_of_trail(each) for each in entries], entries[-1].number if entries else after
            found, until = await store.events_for(
                session, groups=row.groups, types=row.types, after=after, limit=limit, now=now
            )
        items = [_of_event(each) for each in found if is_about(row.names, json.loads(each.body)["data"])]
        return items, max(until, after)

    async def kept_until(self) -> int:
        """Return the number of the last event that was kept."""
        async with self._database.read() as session:
            return await store.kept_until(session)

    async def heard(
        self, scope: Scope, *, after: int, limit: int, now: datetime
    ) -> tuple[Sequence[Item], int]:
        """Return events of a scope after a number, and up to which number all was looked at."""
        async with self._database.read() as session:
            found, until = await store.events_for(
                session, groups=scope or (), after=after, limit=limit, now=now
            )
        return [_of_event(each) for each in found], max(until, after)

    async def forget(self, *, before: datetime) -> None:
        """Let go of events that were kept for long enough."""
        async with self._database.transaction() as tx:
            await store.forget_events(tx, before=before)


def _row(event: Event[Any], *, now: datetime) -> dict[str, Any]:
    return {
        "event_id": event.id,
        "type": event.type,
        "groups": groups_of(event.data),
        "lineage_id": getattr(event.data, "lineage_id", None),
        "kept_at": now,
        "body": event.to_bytes().decode(),
    }


def _of_event(row: store.KeptEvent) -> Item:
    return Item(number=row.number, id=row.event_id, type=row.type, body=row.body)


def _of_trail(row: trail.TrailEntry) -> Item:
    return Item(number=row.number, id=row.event_id, type=row.action, body=row.line)
