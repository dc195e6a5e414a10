"""Tells, once for all of them, that certificates in use have no owner, and when that is over."""

from datetime import datetime, timedelta

from services.inventory.domain.unowned import Queue, Telling, judge
from services.inventory.store import teams, unowned
from shared.events.inventory import CertificatesOwned, CertificatesUnowned
from shared.store import Database, Transaction

AGAIN_AFTER = timedelta(days=1)


class Unowned:
    """The certificates that nobody owns."""

    def __init__(self, database: Database, *, patience: timedelta) -> None:
        self._database = database
        self._patience = patience

    async def look(self, now: datetime) -> bool:
        """Count them, and tell what is news; nothing is left to do then.

        Where there are no teams nobody could own anything, so nothing is told.
        """
        async with self._database.read() as session:
            is_meant = await teams.is_any(session)
            count = await unowned.count(session, scope=None) if is_meant else 0
            before = await unowned.queue(session)
            if self._judge(before, count=count, now=now) == (before, Telling.NOTHING):
                return False
        async with self._database.transaction() as tx:
            queue, telling = self._judge(await unowned.held_queue(tx), count=count, now=now)
            await unowned.keep(tx, queue)
            _tell(tx, queue, telling, count=count, now=now)
        return False

    def _judge(self, queue: Queue, *, count: int, now: datetime) -> tuple[Queue, Telling]:
        return judge(queue, count=count, now=now, patience=self._patience, again_after=AGAIN_AFTER)


def _tell(tx: Transaction, queue: Queue, telling: Telling, *, count: int, now: datetime) -> None:
    if telling is Telling.BEGAN:
        tx.emit(CertificatesUnowned(count=count, since=queue.since or now, counted_at=now), now=now)
    elif telling is Telling.ENDED:
        tx.emit(CertificatesOwned(ended_at=now), now=now)
