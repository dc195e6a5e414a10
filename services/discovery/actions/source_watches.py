"""Sources that tell of changes as they happen: one process at a time listens to each, and a change is a run at once.

What was noticed is kept with where the watch stands, in one transaction: a process that is killed has neither lost
a change nor its place. A run that has begun may have read past what changed, so another one follows it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.discovery import store
from services.discovery.actions.accesses import Accesses
from services.discovery.actions.leases import while_held
from services.discovery.actions.sources import start_run
from services.discovery.connectors import Noticed, Watches
from services.discovery.connectors.registry import WATCHED, readable_kind
from shared.clock import Clock
from shared.errors import EverleafError, Unavailable
from shared.ids import new_id
from shared.store import Database, Transaction

PAUSE = timedelta(seconds=10)
"""Between the beginnings of runs that a watch starts: what changes all the time is not read all the time."""
MOST_UNSEEN = 5.0
"""Seconds after which a process sees that a watch is not its own any more, or that a run may follow; each look is a transaction."""
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=15)
_AFTER_A_REFUSAL = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class WatchClaim:
    """A source that this process listens to, as long as it keeps the lease."""

    source_id: str
    lease: str
    position: str | None


class SourceWatches:
    """Listens to sources, whatever number of processes there are."""

    def __init__(
        self,
        database: Database,
        *,
        accesses: Accesses,
        clock: Clock,
        lease: timedelta,
        ring: Callable[[], None],
    ) -> None:
        """`ring` says that there is a run to be done."""
        self._database = database
        self._accesses = accesses
        self._clock = clock
        self._lease = lease
        self._ring = ring

    async def forget_leases(self) -> None:
        """Let go of what a killed process held: only where there can be no other process."""
        async with self._database.transaction() as tx:
            await store.end_watch_lease(tx)

    async def claim(self, *, now: datetime) -> WatchClaim | None:
        """Take a source that nobody listens to; None where there is none."""
        async with self._database.read() as session:
            if not await store.is_watch_due(session, kinds=WATCHED, now=now):
                return None
        lease = new_id()
        async with self._database.transaction() as tx:
            row = await store.claim_watch(tx, kinds=WATCHED, lease=lease, until=now + self._lease, now=now)
            if row is None:
                return None
            return WatchClaim(source_id=row.source_id, lease=lease, position=row.position)

    async def run(self, claim: WatchClaim) -> None:
        """Listen until the lease is lost, the source is another, or it fails: that is kept in the watch's row."""

        async def keep() -> bool:
            now = self._clock()
            async with self._database.transaction() as tx:
                row = await store.held_watch(tx, claim.source_id, lease=claim.lease)
                if row is None:
                    return False
                row.lease_until = now + self._lease
                await self._start_what_waits(tx, row, now=now)
            return True

        async def let_go() -> None:
            async with self._database.transaction() as tx:
                await store.end_watch_lease(tx, claim.lease)

        async def work() -> None:
            try:
                await self._listen(claim)
            except EverleafError as error:
                await self._failed(claim, error)

        await while_held(
            work, keep=keep, let_go=let_go, every=min(MOST_UNSEEN, self._lease.total_seconds() / 4)
        )

    async def _listen(self, claim: WatchClaim) -> None:
        async with self._database.read() as session:
            source = await session.get(store.SourceRow, claim.source_id)
        if source is None:
            return  # forgotten a moment ago

        async def notice(noticed: Noticed) -> None:
            await self._keep(claim, noticed)

        async with readable_kind(source.kind).open(await self._accesses.of(source)) as opened:
            if isinstance(opened, Watches) and opened.is_watched:
                await opened.watch(after=claim.position, notice=notice)
        await self._rest(claim)

    async def _keep(self, claim: WatchClaim, noticed: Noticed) -> None:
        now = self._clock()
        async with self._database.transaction() as tx:
            row = await store.held_watch(tx, claim.source_id, lease=claim.lease)
            if row is None:
                return
            row.position, row.state, row.updated_at = noticed.position, "watching", now
            row.attempts, row.error, row.next_step = 0, None, None
            row.is_changed = row.is_changed or noticed.is_news
            await self._start_what_waits(tx, row, now=now)

    async def _start_what_waits(self, tx: Transaction, row: store.SourceWatch, *, now: datetime) -> None:
        if not row.is_changed:
            return
        run = await store.open_run(tx, row.source_id)
        if run is None:
            if row.last_started_at is not None and now - row.last_started_at < PAUSE:
                return
            source = await store.source_to_update(tx, row.source_id)
            if source is None:
                return
            start_run(tx, source, now=now)
            tx.after_commit(self._ring)
        elif run.state != "queued":
            return  # it may have read past what has changed: another one follows when it is done
        row.is_changed, row.last_started_at = False, now

    async def _rest(self, claim: WatchClaim) -> None:
        """Remember that a source is not to be watched, until its settings are others."""
        now = self._clock()
        async with self._database.transaction() as tx:
            row = await store.held_watch(tx, claim.source_id, lease=claim.lease)
            if row is not None:
                row.state, row.next_attempt_at, row.updated_at = "off", now + timedelta(days=1), now

    async def _failed(self, claim: WatchClaim, error: EverleafError) -> None:
        now = self._clock()
        async with self._database.transaction() as tx:
            row = await store.held_watch(tx, claim.source_id, lease=claim.lease)
            if row is None:
                return
            row.state, row.error, row.next_step = "failed", error.detail[:1000], error.next_step[:500]
            row.attempts, row.updated_at = row.attempts + 1, now
            pause = min(_FIRST_PAUSE * 2 ** min(row.attempts - 1, 20), _LONGEST_PAUSE)
            # Who said no says it again; runs by the clock go on, and a new credential is tried at once.
            row.next_attempt_at = now + (pause if isinstance(error, Unavailable) else _AFTER_A_REFUSAL)
