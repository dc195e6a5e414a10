"""The embedded bus: the queues of RabbitMQ in one SQLite file, for one process on one machine.

Publishing is a row per bound queue in one transaction; a row is claimed (and its attempt counted,
so that a message which kills the process dies too in the end) before the handler sees it, and
deleted when it is done. Opening the file takes back what a dead process had claimed.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, TypeVar

import anyio
import structlog

from shared.bus import DeadLetter, Delivery, Depth, Handler, Message, Outcome, Queue, Reader, Verdict, unread
from shared.errors import Unavailable

log = structlog.get_logger(__name__)
T = TypeVar("T")


class Claimed(NamedTuple):
    """A delivery, and the row that it is."""

    row: int
    event_id: str
    type: str
    body: bytes
    attempt: int

    def delivery(self, reader: Reader) -> Delivery:
        """Return it as a consumer gets it."""
        message = Message(id=self.event_id, type=self.type, body=self.body)
        return Delivery(message=message, attempt=self.attempt, read=reader(message))


_SCHEMA = """
CREATE TABLE IF NOT EXISTS bindings (queue TEXT, type TEXT, PRIMARY KEY (queue, type)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deliveries (
  queue TEXT NOT NULL, event_id TEXT NOT NULL, type TEXT NOT NULL, body BLOB NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0, due_at REAL NOT NULL, is_claimed INTEGER NOT NULL DEFAULT 0,
  reason TEXT NOT NULL DEFAULT '', died_at REAL, PRIMARY KEY (queue, event_id));
CREATE INDEX IF NOT EXISTS due ON deliveries (queue, due_at) WHERE died_at IS NULL AND is_claimed = 0;
CREATE INDEX IF NOT EXISTS dead ON deliveries (queue, died_at) WHERE died_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS unrouted (event_id TEXT PRIMARY KEY, type TEXT, body BLOB, at REAL) WITHOUT ROWID;
"""
_INSERT = "INSERT OR IGNORE INTO deliveries (queue, event_id, type, body, due_at) VALUES (?, ?, ?, ?, ?)"
_POLL = timedelta(milliseconds=500)
_BUSY = timedelta(seconds=5)


class SqliteBus:
    """Queues in one SQLite file. Another process may publish into it; only one may consume."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        # SQLite takes one writer at a time; one thread is that writer, and the loop never waits.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bus")
        self._bells: dict[str, anyio.Event] = {}

    async def declare(self, queues: Sequence[Queue]) -> None:
        """Make the queues' bindings what they are said to be."""

        def write(connection: sqlite3.Connection) -> None:
            for queue in queues:
                connection.execute("DELETE FROM bindings WHERE queue = ?", (queue.name,))
                rows = [(queue.name, event_type) for event_type in queue.types]
                connection.executemany("INSERT INTO bindings VALUES (?, ?)", rows)

        await self._write(write)

    async def publish(self, messages: Sequence[Message]) -> None:
        """Put each message into every bound queue; one that is still there is not doubled."""
        now = time.time()

        def write(connection: sqlite3.Connection) -> set[str]:
            bound = _bound(connection, {message.type for message in messages})
            rows = [
                (queue, message.id, message.type, message.body, now)
                for message in messages
                for queue in bound[message.type]
            ]
            connection.executemany(_INSERT, rows)
            left = [(each.id, each.type, each.body, now) for each in messages if not bound[each.type]]
            connection.executemany("INSERT OR IGNORE INTO unrouted VALUES (?, ?, ?, ?)", left)
            return {row[0] for row in rows}

        for queue in await self._write(write):
            self._ring(queue)

    async def hand_over(self, queue: str, messages: Sequence[Message]) -> None:  # noqa: ARG002 - as the Protocol has it
        """Raise `Unavailable`: nobody else reads here."""
        raise Unavailable(
            "The embedded bus has no queues for others.",
            next_step="Subscribe with a webhook, or ask for the events; or run Everleaf on RabbitMQ.",
        )

    async def consume(
        self, queue: Queue, handler: Handler, *, batch: int = 100, reader: Reader = unread
    ) -> None:
        """Hand batches to the handler until cancelled."""
        while True:
            try:
                # Also what this process had claimed, where the file could not be written when it was handled.
                await self._write(lambda connection: _release(connection, queue.name))
                await self._consume(queue, handler, batch=batch, reader=reader)
            except Unavailable as error:
                log.warning("bus.consumer_lost", queue=queue.name, error=str(error))
                await anyio.sleep(_POLL.total_seconds())

    async def _consume(self, queue: Queue, handler: Handler, *, batch: int, reader: Reader) -> None:
        claimed, outcomes = list[Claimed](), list[Outcome]()
        while True:
            bell = self._bells[queue.name] = anyio.Event()
            claimed = await self._write(partial(_settle_and_claim, queue, claimed, outcomes, batch=batch))
            outcomes = list(await handler([each.delivery(reader) for each in claimed])) if claimed else []
            if not claimed:
                with anyio.move_on_after(_POLL.total_seconds()):
                    await bell.wait()

    async def dead_letters(self, queue: Queue, *, limit: int = 50) -> list[DeadLetter]:
        """Return the oldest dead letters."""

        def read(connection: sqlite3.Connection) -> list[tuple[str, str, bytes, int, str, float]]:
            return connection.execute(
                "SELECT event_id, type, body, attempts, reason, died_at FROM deliveries "
                "WHERE queue = ? AND died_at IS NOT NULL ORDER BY died_at LIMIT ?",
                (queue.name, limit),
            ).fetchall()

        return [
            DeadLetter(
                queue=queue.name,
                message=Message(id=event_id, type=event_type, body=body),
                attempts=attempts,
                reason=reason,
                died_at=datetime.fromtimestamp(died_at, UTC),
            )
            for event_id, event_type, body, attempts, reason, died_at in await self._write(read)
        ]

    async def dead_letter_count(self, queue: Queue) -> int:
        """Return how many dead letters there are."""
        question = "SELECT count(*) FROM deliveries WHERE queue = ? AND died_at IS NOT NULL"
        row = await self._write(lambda connection: connection.execute(question, (queue.name,)).fetchone())
        return int(row[0])

    async def depth(self, queue: Queue) -> Depth:
        """Count what is there; what is claimed still waits for its verdict."""
        question = (
            "SELECT count(*) FILTER (WHERE died_at IS NULL AND (attempts = 0 OR is_claimed OR due_at <= :now)), "
            "count(*) FILTER (WHERE died_at IS NULL AND attempts > 0 AND NOT is_claimed AND due_at > :now), "
            "count(*) FILTER (WHERE died_at IS NOT NULL) FROM deliveries WHERE queue = :queue"
        )
        given = {"queue": queue.name, "now": time.time()}
        row = await self._write(lambda connection: connection.execute(question, given).fetchone())
        return Depth(waiting=row[0], retrying=row[1], dead=row[2])

    async def redrive(self, queue: Queue, ids: Sequence[str] | None = None) -> int:
        """Put dead letters back for a first try."""
        change = "UPDATE deliveries SET died_at = NULL, attempts = 0, is_claimed = 0, due_at = ?"
        count = await self._write(
            lambda connection: _for_dead(connection, change, queue, ids, first=(time.time(),))
        )
        self._ring(queue.name)
        return count

    async def discard(self, queue: Queue, ids: Sequence[str]) -> int:
        """Throw dead letters away."""
        return await self._write(
            lambda connection: _for_dead(connection, "DELETE FROM deliveries", queue, ids)
        )

    async def ready(self) -> None:
        """Return when the file can be read."""
        await self._write(lambda connection: connection.execute("SELECT 1").fetchone())

    async def close(self) -> None:
        """Close the file."""
        await self._in_thread(self._close)
        self._thread.shutdown()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ring(self, queue: str) -> None:
        bell = self._bells.get(queue)
        if bell is not None:
            bell.set()

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._in_thread(lambda: self._transact(work))
        except sqlite3.Error as error:
            raise Unavailable(
                f"The embedded bus cannot be used: {error}.",
                next_step=f"Check that {self._path.name} in the data folder is writable and its disk not full.",
            ) from error

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        return result

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=_BUSY.total_seconds())
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.executescript(_SCHEMA)
            self._connection = connection
        return self._connection


def _bound(connection: sqlite3.Connection, types: set[str]) -> dict[str, list[str]]:
    question = "SELECT queue FROM bindings WHERE type = ?"
    return {each: [row[0] for row in connection.execute(question, (each,))] for each in types}


def _release(connection: sqlite3.Connection, queue: str) -> None:
    connection.execute("UPDATE deliveries SET is_claimed = 0 WHERE queue = ? AND is_claimed = 1", (queue,))


def _settle_and_claim(
    queue: Queue,
    claimed: Sequence[Claimed],
    outcomes: Sequence[Outcome],
    connection: sqlite3.Connection,
    *,
    batch: int,
) -> list[Claimed]:
    """End one batch and begin the next: together, since what a transaction costs is mostly that it is one."""
    _settle(connection, queue, claimed, outcomes)
    return _claim(connection, queue, batch)


def _claim(connection: sqlite3.Connection, queue: Queue, batch: int) -> list[Claimed]:
    """Claim what is due; a message whose last try ended with the process is dead-lettered here."""
    tries, now = len(queue.backoff) + 1, time.time()
    # Within its index the next ones are found however many wait behind them.
    claim = (
        "UPDATE deliveries SET is_claimed = 1, attempts = attempts + 1 WHERE rowid IN (SELECT rowid FROM deliveries "
        "WHERE queue = ? AND died_at IS NULL AND is_claimed = 0 AND due_at <= ? ORDER BY due_at LIMIT ?) "
        "RETURNING due_at, rowid, event_id, type, body, attempts"
    )
    died = (
        "UPDATE deliveries SET is_claimed = 0, attempts = ?, died_at = ?, reason = 'the process ended while handling it' "
        "WHERE rowid = ?"
    )
    while rows := connection.execute(claim, (queue.name, now, batch)).fetchall():
        rows.sort(key=itemgetter(0, 1))  # in the order in which they are due, which RETURNING does not keep
        claimed = [Claimed(*row[1:]) for row in rows]
        connection.executemany(died, [(tries, now, each.row) for each in claimed if each.attempt > tries])
        living = [each for each in claimed if each.attempt <= tries]
        if living:
            return living
    return []


def _settle(
    connection: sqlite3.Connection, queue: Queue, claimed: Sequence[Claimed], outcomes: Sequence[Outcome]
) -> None:
    now = time.time()
    done = list[tuple[int]]()
    for each, outcome in zip(claimed, outcomes, strict=True):
        if outcome.verdict is Verdict.DONE:
            done.append((each.row,))
        elif outcome.verdict is Verdict.RETRY and each.attempt <= len(queue.backoff):
            due_at = now + queue.backoff[each.attempt - 1].total_seconds()
            connection.execute(
                "UPDATE deliveries SET is_claimed = 0, due_at = ?, reason = ? WHERE rowid = ?",
                (due_at, outcome.reason, each.row),
            )
        else:
            connection.execute(
                "UPDATE deliveries SET is_claimed = 0, died_at = ?, reason = ? WHERE rowid = ?",
                (now, outcome.reason, each.row),
            )
    connection.executemany("DELETE FROM deliveries WHERE rowid = ?", done)


def _for_dead(
    connection: sqlite3.Connection,
    change: str,
    queue: Queue,
    ids: Sequence[str] | None,
    *,
    first: tuple[float, ...] = (),
) -> int:
    where = " WHERE queue = ? AND died_at IS NOT NULL"
    if ids is None:
        return connection.execute(change + where, (*first, queue.name)).rowcount
    changed = [
        connection.execute(change + where + " AND event_id = ?", (*first, queue.name, event_id)).rowcount
        for event_id in ids
    ]
    return sum(changed)
