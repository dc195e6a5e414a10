"""The reading of Certificate Transparency logs: each by one process at a time, on from where it stands.

The names of a data tile and the new position are kept in one transaction, and only when the tile
belongs to a tree that goes on from the one seen before: a crash neither skips an entry nor counts it twice.
"""

import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio
import anyio.to_thread
import structlog

from services.discovery import store
from services.discovery.connectors.transparency import LogAway, LogFiles, LogTree
from services.discovery.domain.checkpoints import Checkpoint, LogForked, LogWrong, read_log_key
from services.discovery.domain.log_entries import Found, names_under
from services.discovery.domain.merkle import WIDTH
from shared.clock import Clock
from shared.ids import new_id
from shared.outbound import Policy, guarded_client
from shared.store import Database, Transaction, is_away
from shared.telemetry import CT_LOG_FAILURES

log = structlog.get_logger(__name__)

ORIGIN = "transparency"
LEASE = timedelta(minutes=10)
"""Longer than the tiles of one step can take; each step that is kept renews it."""
TILES_A_TURN = 256
"""After so many data tiles the next log has its turn."""
WAITS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
MOST_ERROR = 500
LONGEST_WAIT = timedelta(days=1)
"""However long a log asks to be left alone."""


@dataclass(frozen=True, kw_only=True)
class ReadingPace:
    """How many requests per second one log gets, and how long after its end it is asked for more."""

    requests_per_second: float
    poll: timedelta


@dataclass(frozen=True, kw_only=True)
class LogNetwork:
    """What logs are reached by: which addresses, and whose certificates are trusted."""

    policy: Policy
    tls: ssl.SSLContext


@dataclass(frozen=True, kw_only=True)
class LogClaim:
    """A log that this process reads, as long as it keeps the lease."""

    log_id: str
    lease: str


class _NotOurs(Exception):
    """The log was changed, deleted, or taken over: whoever holds it now goes on from where it stands."""


class LogReads:
    """Takes up logs that are due and reads them on, whatever number of processes there are."""

    def __init__(self, database: Database, *, network: LogNetwork, pace: ReadingPace, clock: Clock) -> None:
        self._database = database
        self._network = network
        self._pace = pace
        self._clock = clock

    async def forget_leases(self) -> None:
        """Let go of what a killed process held: only where there can be no other process."""
        if self._database.is_sqlite:
            async with self._database.transaction() as tx:
                await store.end_log_lease(tx)

    async def claim(self, *, now: datetime) -> LogClaim | None:
        """Take a log that is due; None where there is none."""
        async with self._database.read() as session:
            if not await store.is_log_due(session, now=now):
                return None
        lease = new_id()
        async with self._database.transaction() as tx:
            row = await store.claim_log(tx, lease=lease, until=now + LEASE, now=now)
            return LogClaim(log_id=row.id, lease=lease) if row is not None else None

    async def run(self, claim: LogClaim) -> None:
        """Read on. What the log does wrong becomes its row; where the database is away, the lease runs out."""
        try:
            await self._turn(claim)
        except _NotOurs:
            log.info("ct_log.let_go", ct_log=claim.log_id)
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(5, shield=True):
                await self._let_go(claim)
            raise
        except Exception as error:
            if not is_away(error):
                raise
            log.warning("ct_log.interrupted", ct_log=claim.log_id, error=type(error).__name__)

    async def _let_go(self, claim: LogClaim) -> None:
        try:
            async with self._database.transaction() as tx:
                await store.end_log_lease(tx, claim.lease)
        except Exception as error:
            if not is_away(error):
                raise

    async def _turn(self, claim: LogClaim) -> None:
        row = await self._row(claim)
        checkpoint: Checkpoint | None = None
        try:
            async with guarded_client(self._network.policy, tls=self._network.tls) as client:
                rate = self._pace.requests_per_second
                files = LogFiles(client, row.url, requests_per_second=rate, clock=self._clock)
                key = read_log_key(row.public_key, pointer="") if row.public_key else None
                checkpoint = await files.checkpoint(key=key)
                tree = await _trusted(files, checkpoint, row=row)
                await self._accept(claim, checkpoint)
                await self._read(claim, tree, size=checkpoint.size)
        except LogForked as error:
            await self._failed(claim, error, state="forked", evidence=checkpoint.note if checkpoint else None)
        except LogWrong as error:
            await self._failed(claim, error, state="wrong")
        except LogAway as error:
            await self._failed(claim, error, state="away")

    async def _row(self, claim: LogClaim) -> store.CtLog:
        async with self._database.read() as session:
            row = await session.get(store.CtLog, claim.log_id)
        return _held(row, claim)

    async def _accept(self, claim: LogClaim, checkpoint: Checkpoint) -> None:
        """Take the tree for the log's, once it is known to go on from the one before."""
        async with self._database.transaction() as tx:
            row = await self._ours(tx, claim)
            row.origin, row.signed_at = checkpoint.origin, checkpoint.signed_at
            row.checkpoint_size, row.checkpoint_root = checkpoint.size, checkpoint.root.hex()
            if row.position is None:
                row.position = checkpoint.size
            row.state, row.last_error, row.failures = "reading", None, 0

    async def _read(self, claim: LogClaim, tree: LogTree, *, size: int) -> None:
        """Read up to the end of the tree, or as much as fits in a turn."""
        for _ in range(TILES_A_TURN):
            row = await self._row(claim)
            position = row.position or 0
            if position >= size:
                await self._rest(claim)
                return
            entries = await tree.entries(position // WIDTH)
            fresh = entries[position % WIDTH :]
            found = await anyio.to_thread.run_sync(names_under, fresh, row.suffixes)
            await self._keep(claim, found, position=position, count=len(fresh))
        await self._pass_on(claim)

    async def _keep(self, claim: LogClaim, found: Found, *, position: int, count: int) -> None:
        """Keep the names of the next entries and the new position, both or neither."""
        now = self._clock()
        async with self._database.transaction() as tx:
            row = await self._ours(tx, claim)
            if row.position != position:
                raise _NotOurs
            names = [(name, "") for name in found.names]
            await store.remember_names(tx, names, origin=ORIGIN, now=now)
            row.position = position + count
            row.entries_read += count
            row.unreadable += found.unreadable
            row.last_read_at = now

    async def _rest(self, claim: LogClaim) -> None:
        """Leave the log alone for a while: all it holds is read."""
        now = self._clock()
        async with self._database.transaction() as tx:
            row = await self._ours(tx, claim)
            row.state, row.last_read_at = "current", now
            _release(row, until=now + self._pace.poll)

    async def _pass_on(self, claim: LogClaim) -> None:
        async with self._database.transaction() as tx:
            _release(await self._ours(tx, claim), until=self._clock())

    async def _failed(
        self, claim: LogClaim, error: LogAway | LogWrong, *, state: str, evidence: str | None = None
    ) -> None:
        """Write down what is wrong; position and accepted tree stay as they are."""
        now, text = self._clock(), _printable(error.detail)
        async with self._database.transaction() as tx:
            row = await self._ours(tx, claim)
            is_news = row.state != state
            row.state, row.last_error = state, text
            row.evidence = evidence or row.evidence
            wait = WAITS[min(row.failures, len(WAITS) - 1)]
            row.failures += 1
            asked = getattr(error, "retry_after", None) or timedelta()
            _release(row, until=now + min(max(wait, asked), LONGEST_WAIT))
        CT_LOG_FAILURES.labels(state).inc()
        if is_news:
            tell = log.warning if state == "away" else log.error
            tell(f"ct_log.{state}", ct_log=claim.log_id, url=row.url, error=text)

    async def _ours(self, tx: Transaction, claim: LogClaim) -> store.CtLog:
        """Return the row, held, and the lease renewed. Raises `_NotOurs`."""
        row = _held(await store.log_to_update(tx, claim.log_id), claim)
        row.lease_until = self._clock() + LEASE
        return row


async def _trusted(files: LogFiles, checkpoint: Checkpoint, *, row: store.CtLog) -> LogTree:
    """Return the tree of a checkpoint that goes on from the row's. Raises `LogForked` and `LogWrong`."""
    if row.origin is not None and row.origin != checkpoint.origin:
        raise LogForked(f"The log calls itself {checkpoint.origin} and was {row.origin}.")
    tree = LogTree(files, checkpoint)
    await tree.check()
    if row.checkpoint_root is not None:
        await tree.refuse_fork(size=row.checkpoint_size, root_then=bytes.fromhex(row.checkpoint_root))
    return tree


def _held(row: store.CtLog | None, claim: LogClaim) -> store.CtLog:
    if row is None or row.lease != claim.lease:
        raise _NotOurs
    return row


def _release(row: store.CtLog, *, until: datetime) -> None:
    row.lease = row.lease_until = None
    row.next_read_at = until


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)[:MOST_ERROR]
