"""A service's own database: SQLite in one process, PostgreSQL in production, one code for both.

`Database.transaction()` is the only way to write. Events emitted in it are rows of the same
transaction (the outbox), so a change and its event are kept together or not at all.
"""

import socket
import sqlite3
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio
import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from shared.errors import Invalid, Unavailable
from shared.store.columns import Instant, Json, Sealed, SealedOwn
from shared.store.reader import RESTS_SINCE, AtHand, Reader, reader_of_file
from shared.store.recording import Auditing, RecordingSession
from shared.store.transactions import Driven, Transaction, UnitOfWork, insert, write_rows

__all__ = [
    "Auditing",
    "Database",
    "Instant",
    "Json",
    "Sealed",
    "SealedOwn",
    "Transaction",
    "UnitOfWork",
    "insert",
    "is_away",
    "is_unstorable",
    "write_rows",
]

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
_PAUSES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_CUSTOM = "force_custom_plan"
_QUIET = 10
"""Seconds without use after which a connection is asked whether it is still there."""
_PATIENCE = 10
"""Seconds that a connection, or the answer to whether the database is ready, may take."""


class Database:
    """The datastore of one service.

    `url` is `sqlite:///path/to/file.db` or `postgresql://user:password@host:port/name`; there, up to twice `pool_size`
    connections are kept open, and half of it more for what is searched. `auditing` says which changes are recorded.
    """

    def __init__(
        self,
        url: str,
        *,
        source: str,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        pool_size: int = 10,
        auditing: Auditing | None = None,
    ) -> None:
        self.source = source
        self._auditing = auditing
        self.url = _with_driver(url, password)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.outbox_bell = anyio.Event()
        # SQLite takes one writer at a time: waiting here is fair, its own busy wait is not.
        self._one_writer = anyio.Lock() if self.is_sqlite else None
        self.engine = (
            _sqlite_engine(self.url)
            if self.is_sqlite
            else _postgresql_engine(self.url, tls=tls, pool_size=2 * pool_size)
        )
        # A statement alone is a transaction to PostgreSQL: to say so would be two more trips for each question.
        autonomy: dict[str, Any] = {} if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
        self._reading = self.engine.execution_options(everleaf_read=True, **autonomy)
        few = max(1, pool_size // 2)
        # What somebody has typed is planned for the values it has, each time: a plan for any value would be a bad one.
        self._searching = (
            None if self.is_sqlite else _postgresql_engine(self.url, tls=tls, pool_size=few, plans=_CUSTOM)
        )
        self._at_hand = AtHand(self.engine, most=few, fresh=_QUIET)
        self._at_hand_for_searches = AtHand(self._searching or self.engine, most=few, fresh=_QUIET)
        sa.event.listen(self._reading.sync_engine, "before_cursor_execute", _refuse_to_write)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open a transaction that commits when the block ends and rolls back when it raises."""
        if self._one_writer is None:
            async with self._begin() as tx:
                yield tx
        else:
            # A statement that is cancelled while the driver's thread runs it leaves its connection, and
            # with it the one write lock, open for good; so a transaction that has begun is ended.
            async with self._one_writer:
                with anyio.CancelScope(shield=True):
                    async with self._begin() as tx:
                        yield tx

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[Transaction]:
        session = AsyncSession(self.engine, expire_on_commit=False, sync_session_class=RecordingSession)
        async with session, session.begin():
            tx = Transaction(session, self.source, auditing=self._auditing)
            yield tx
            await session.flush()
            has_events = await tx.write_outbox()
        if has_events:
            self.ring()
        tx.committed()

    @asynccontextmanager
    async def driven(self) -> AsyncIterator[UnitOfWork]:
        """Open a transaction with less ado than `transaction`, for what is done most; on SQLite it is one of those.

        Where the block raises, PostgreSQL undoes what was done because its connection is closed, not because it is told to.
        """
        if self.is_sqlite:
            async with self.transaction() as tx:
                yield tx
            return
        async with self._at_hand.transaction() as driver:
            unit = Driven(driver, self.source, auditing=self._auditing)
            yield unit
            has_events = await unit.write_outbox()
        if has_events:
            self.ring()
        unit.committed()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """Open a session for reading; it refuses to write.

        On PostgreSQL each statement sees what is committed when it begins, as everywhere; it is in no transaction.
        """
        with anyio.CancelScope(shield=self.is_sqlite):
            async with AsyncSession(self._reading, expire_on_commit=False) as session:
                yield session

    def reader(self, *, longest: timedelta | None = None) -> AbstractAsyncContextManager[Reader]:
        """Open what reads with less ado than a session, for what is asked most.

        A statement that takes longer than `longest` on PostgreSQL raises `TookTooLong`.
        """
        if self.is_sqlite:
            return self._reader_of_file()
        at_hand = self._at_hand if longest is None else self._at_hand_for_searches
        return at_hand.reader(longest=longest)

    @asynccontextmanager
    async def _reader_of_file(self) -> AsyncIterator[Reader]:
        with anyio.CancelScope(shield=True):
            async with reader_of_file(self._reading) as reader:
                yield reader

    @asynccontextmanager
    async def single(self) -> AsyncIterator[Reader]:
        """Open what also writes by the driver itself, each statement a transaction of its own.

        Neither events nor entries of the audit trail come of it: what tells others something needs a `transaction`, or one
        that is `driven`.
        """
        if self._one_writer is None:
            async with self._at_hand.reader() as driver:
                yield driver
        else:
            async with self._one_writer:
                with anyio.CancelScope(shield=True):
                    async with reader_of_file(self.engine) as driver:
                        yield driver

    def ring(self) -> None:
        """Wake the outbox relay of this process."""
        self.outbox_bell.set()

    async def ready(self) -> None:
        """Return when the database answers; raise `Unavailable` where it does not."""
        try:
            with anyio.fail_after(_PATIENCE):
                async with self.read() as session:
                    await session.execute(sa.text("SELECT 1"))
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise Unavailable(
                f"The database of {self.source} does not answer.",
                next_step="Check that it runs and that the database settings are right.",
            ) from error

    async def close(self) -> None:
        """Let go of all connections."""
        self._at_hand.close()
        self._at_hand_for_searches.close()
        await self.engine.dispose()
        if self._searching is not None:
            await self._searching.dispose()


def is_away(error: BaseException) -> bool:
    """Return whether the database was not reached or gave up, so that trying again may help."""
    if isinstance(error, (ConnectionError, TimeoutError, socket.gaierror, sa.exc.TimeoutError)):
        return True
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    # PostgreSQL's classes of errors that pass: connection, rollback, resources, operator (its appendix A).
    has_passing_state = str(getattr(error.orig, "sqlstate", None))[:2] in ("08", "40", "53", "57")
    lost = (sa.exc.OperationalError, sa.exc.InterfaceError)
    return error.connection_invalidated or has_passing_state or isinstance(error, lost)


def is_unstorable(error: BaseException) -> bool:
    """Return whether the database refused a value as such: a NUL in a text, a number that is too large, a year before the first."""
    if isinstance(getattr(error, "orig", error), OverflowError):  # SQLite's driver says so in Python's words
        return True
    # Its class of errors in data (its appendix A).
    return isinstance(error, sa.exc.DBAPIError) and str(getattr(error.orig, "sqlstate", None))[:2] == "22"


def _with_driver(url: str, password: str | None) -> URL:
    try:
        parsed = make_url(url)
        driver = _DRIVERS[parsed.get_backend_name()]
    except (sa.exc.ArgumentError, KeyError) as error:
        raise Invalid(
            "The database URL is neither sqlite:///path nor postgresql://user@host:port/name.",
            next_step="Correct the setting database_url.",
        ) from error
    parsed = parsed.set(drivername=driver)
    return parsed.set(password=password) if password is not None else parsed


def _refuse_to_write(*event: Any) -> None:
    context = event[4]
    if context.isinsert or context.isupdate or context.isdelete:
        msg = "A reading session does not write: use Database.transaction()."
        raise RuntimeError(msg)


def _postgresql_engine(
    url: URL, *, tls: ssl.SSLContext | None, pool_size: int, plans: str | None = None
) -> AsyncEngine:
    arguments: dict[str, Any] = {"timeout": _PATIENCE}
    if plans is not None:
        arguments["server_settings"] = {"plan_cache_mode": plans}
    if tls is not None:
        arguments["ssl"] = tls
    engine = create_async_engine(
        url,
        # None beyond the pool: those would be opened for one statement and closed after it.
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,  # errors are logged and kept with dead letters; values are nobody's business
        connect_args=arguments,
    )
    _use_the_living(engine)
    return engine


def _use_the_living(engine: AsyncEngine) -> None:
    """Give out no connection that the server has closed.

    The driver knows at once where it was told. A connection that was quiet for long is asked, since something between
    may have forgotten it; asking before each use, as `pool_pre_ping` does, is three trips for each question.
    """
    pool = engine.sync_engine.pool

    @sa.event.listens_for(pool, "checkin")
    def rest(_connection: Any, record: Any) -> None:
        record.info.setdefault(RESTS_SINCE, time.monotonic())  # one that was at hand has had its rest already

    @sa.event.listens_for(pool, "checkout")
    def wake(connection: Any, record: Any, _fairy: object) -> None:
        rests_since = record.info.pop(RESTS_SINCE, time.monotonic())
        if connection.driver_connection.is_closed():
            raise sa.exc.DisconnectionError
        if time.monotonic() - rests_since < _QUIET:
            return
        try:
            connection.ping()
        except Exception as error:
            raise sa.exc.DisconnectionError from error


def _write_ahead(cursor: Any) -> None:
    """Let readers and the writer not wait for one another.

    A new file is changed to that mode under a lock for which SQLite does not wait where others do the same.
    """
    for pause in _PAUSES:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            time.sleep(pause)
        else:
            return
    cursor.execute("PRAGMA journal_mode=WAL")


def _sqlite_engine(url: URL) -> AsyncEngine:
    engine = create_async_engine(
        url, pool_size=8, max_overflow=8, hide_parameters=True, connect_args={"timeout": 30}
    )

    @sa.event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        # The driver's own implicit BEGIN would start read transactions that fail when they come
        # to write; we say BEGIN ourselves, below.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("busy_timeout=30000", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        _write_ahead(cursor)
        cursor.close()

    @sa.event.listens_for(engine.sync_engine, "begin")
    def begin(connection: sa.Connection) -> None:
        reading = connection.get_execution_options().get("everleaf_read", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine
