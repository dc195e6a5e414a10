"""The relay: takes committed events to the bus, however often the process dies on the way."""

from collections.abc import Sequence
from datetime import timedelta
from operator import attrgetter
from typing import Any

import anyio
import sqlalchemy as sa
import structlog

from shared.bus import Bus, Message
from shared.errors import Unavailable
from shared.store import Database
from shared.store.plumbing import OUTBOX
from shared.store.reader import Fixed
from shared.telemetry import EVENTS_PUBLISHED, OUTBOX_DELAYED

Rows = Sequence[Any]
"""Of `_COLUMNS`."""

_COLUMNS = (OUTBOX.c.id, OUTBOX.c.event_id, OUTBOX.c.type, OUTBOX.c.body)

_OLDEST = Fixed(sa.select(*_COLUMNS).order_by(OUTBOX.c.id).limit(sa.bindparam("most", type_=sa.Integer)))
_UNTIL = Fixed(sa.delete(OUTBOX).where(OUTBOX.c.id <= sa.bindparam("last", type_=sa.Integer)))

log = structlog.get_logger(__name__)


class Relay:
    """Publishes the outbox of one database and deletes what the bus has confirmed.

    A crash between publishing and deleting publishes again; consumers' inboxes absorb that.
    """

    def __init__(
        self,
        database: Database,
        bus: Bus,
        *,
        batch: int = 200,
        poll: timedelta = timedelta(milliseconds=250),
    ) -> None:
        self._database = database
        self._bus = bus
        self._batch = batch
        self._poll = poll

    async def run(self) -> None:
        """Relay until cancelled; an absent bus or database is waited for, with growing patience."""
        failures = 0
        while True:
            try:
                # Fewer than a batch: what was there is gone, and what comes now rings.
                while await self.relay_once() == self._batch:
                    pass
                failures = 0
                OUTBOX_DELAYED.labels(self._database.source).set(0)
            except (Unavailable, sa.exc.DBAPIError, OSError) as error:
                failures += 1
                OUTBOX_DELAYED.labels(self._database.source).set(failures)
                log.warning(
                    "outbox.delayed", service=self._database.source, failures=failures, error=str(error)
                )
            await self._wait(failures)

    async def _wait(self, failures: int) -> None:
        # The bell rings after a commit of this process; the poll finds the commits of others.
        if failures:
            await anyio.sleep(min(0.25 * 2.0 ** min(failures, 10), 15.0))
            return
        with anyio.move_on_after(self._poll.total_seconds()):
            await self._database.outbox_bell.wait()
        self._database.outbox_bell = anyio.Event()

    async def relay_once(self) -> int:
        """Move one batch and return how many events it held."""
        if self._database.is_sqlite:
            return await self._relay_unlocked()
        # The rows stay locked until the bus has confirmed them: another replica skips them, and a rollback is the retry.
        async with self._database.transaction() as tx:
            taken = OUTBOX.c.id.in_(self._oldest(OUTBOX.c.id).with_for_update(skip_locked=True))
            rows = (await tx.session.execute(sa.delete(OUTBOX).where(taken).returning(*_COLUMNS))).all()
            await self._publish(sorted(rows, key=attrgetter("id")))
            return len(rows)

    async def _relay_unlocked(self) -> int:
        # SQLite has one process and one relay, but one writer too: a slow broker must not hold it.
        async with self._database.reader() as reader:
            rows = await reader.values(_OLDEST, most=self._batch)
        if not rows:
            return 0
        await self._publish(rows)
        async with self._database.single() as driver:
            # SQLite gives a new row the highest id there is and one more: what came since is not among these.
            await driver.values(_UNTIL, last=rows[-1][0])
        return len(rows)

    def _oldest(self, *columns: sa.Column[Any]) -> sa.Select[Any]:
        return sa.select(*columns).order_by(OUTBOX.c.id).limit(self._batch)

    async def _publish(self, rows: Rows) -> None:
        messages = [Message(id=event_id, type=kind, body=body) for _, event_id, kind, body in rows]
        if messages:
            await self._bus.publish(messages)
            EVENTS_PUBLISHED.labels(self._database.source).inc(len(messages))
