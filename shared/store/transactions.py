"""A unit of work: what is written, the events that become true with it, and the record of what was changed."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from shared.audit import Change
from shared.events import Event, Payload
from shared.store.plumbing import AUDIT_STATE, OUTBOX
from shared.store.reader import Fixed, Reader, reader_in
from shared.store.recording import Auditing, Recorder


class UnitOfWork(ABC):
    """What is written together, the events that become true when it commits, and the record of what was changed."""

    def __init__(self, reader: Reader, source: str, *, auditing: Auditing | None) -> None:
        self.reader = reader
        """Runs statements that were compiled before, which may write and return what they have written, as a part of it."""
        self._source = source
        self._recorder = Recorder(auditing, service=source) if auditing is not None else None
        self._emitted: list[dict[str, Any]] = []
        self._afterwards: list[Callable[[], None]] = []

    def emit(self, payload: Payload, *, now: datetime) -> str:
        """Add an event to this transaction and return its id."""
        event = Event.of(payload, source=self._source, now=now)
        self._emitted.append(
            {"event_id": event.id, "type": event.type, "body": event.to_bytes(), "created_at": now}
        )
        return event.id

    def record(self, change: Change) -> None:
        """Have a change in the audit trail that a statement makes, or that no row tells of."""
        if self._recorder is not None:
            self._recorder.add(change)

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call this when the transaction has committed: to wake who works on what was written."""
        self._afterwards.append(call)

    def committed(self) -> None:
        """Do what was to be done after the commit."""
        for call in self._afterwards:
            call()

    async def write_outbox(self) -> bool:
        """Write the emitted events as rows, the audit entries among them; return whether there were any."""
        entries = self._recorder.entries() if self._recorder is not None else []
        if entries:
            # Last of all locks: who counts changes waits for no more than another's commit.
            before = await self._count(len(entries)) - len(entries)
            for entry in entries:
                numbered = entry.model_copy(update={"sequence": before + entry.sequence})
                self.emit(numbered, now=entry.at)
        if self._emitted:
            await self._write(self._emitted)
        return bool(self._emitted)

    @abstractmethod
    async def _count(self, more: int) -> int:
        """Return how many changes this service has recorded, these included."""

    @abstractmethod
    async def _write(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Write rows of the outbox."""


class Transaction(UnitOfWork):
    """A unit of work in a session."""

    def __init__(self, session: AsyncSession, source: str, *, auditing: Auditing | None = None) -> None:
        super().__init__(reader_in(session), source, auditing=auditing)
        self.session = session
        if self._recorder is not None:
            self._recorder.attach(session.sync_session)

    def record_row(self, row: Any, verb: str) -> None:
        """Have a row in the audit trail that a statement writes or deletes: `created` or `deleted`."""
        if self._recorder is not None:
            self._recorder.look_at(row, verb)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo what happens inside, events included, where it raises; the transaction goes on."""
        await self.session.flush()  # what was changed before is not undone
        mark, rung = len(self._emitted), len(self._afterwards)
        noted = self._recorder.mark() if self._recorder is not None else 0
        try:
            async with self.session.begin_nested():
                yield
        except BaseException:
            del self._emitted[mark:]
            del self._afterwards[rung:]
            if self._recorder is not None:
                self._recorder.back_to(noted)
            self.session.expire_all()
            raise

    async def _count(self, more: int) -> int:
        new = _counting(insert(self, AUDIT_STATE), sa.literal(more))
        return int(await self.session.scalar(new) or 0)

    async def _write(self, events: Sequence[Mapping[str, Any]]) -> None:
        await self.session.execute(sa.insert(OUTBOX), events)


class Driven(UnitOfWork):
    """A unit of work that PostgreSQL's driver does by itself, without a session: for what is done most."""

    async def _count(self, more: int) -> int:
        [[sequence]] = await self.reader.values(_COUNT, more=more)
        return int(sequence)

    async def _write(self, events: Sequence[Mapping[str, Any]]) -> None:
        listed = {f"{name}s": [event[name] for event in events] for name in _TOLD}
        await self.reader.values(_TELL, **listed)


def _counting(new: Any, more: sa.ColumnElement[int]) -> Any:
    """Return what counts changes, of the INSERT of a dialect."""
    counted = new.values(id=1, sequence=more).on_conflict_do_update(
        index_elements=["id"], set_={"sequence": AUDIT_STATE.c.sequence + more}
    )
    return counted.returning(AUDIT_STATE.c.sequence)


_COUNT = Fixed(_counting(postgresql.insert(AUDIT_STATE), sa.bindparam("more", type_=sa.BigInteger())))
_TOLD = {column.name: column.type for column in OUTBOX.c if not column.primary_key}


def _telling() -> sa.Insert:
    arrays = (sa.bindparam(f"{name}s", type_=postgresql.ARRAY(type_)) for name, type_ in _TOLD.items())
    given = sa.func.unnest(*arrays).table_valued(*(sa.column(*each) for each in _TOLD.items()))
    rows = sa.select(given.render_derived(name="given"))
    return sa.insert(OUTBOX).from_select(list(_TOLD), rows).returning(OUTBOX.c.id)


_TELL = Fixed(_telling())


def insert(tx: Transaction, table: Any) -> Any:
    """Return an INSERT that knows `on_conflict_do_…` in the dialect of the transaction's database."""
    backend = tx.session.get_bind().dialect.name
    return (postgresql if backend == "postgresql" else sqlite).insert(table)


async def write_rows(tx: Transaction, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Execute a statement once for each row, with the parameters that are the row's.

    A statement with all rows in its VALUES would be compiled anew each time, which costs many times the writing.
    """
    if rows:
        connection = await tx.session.connection()
        await connection.execute(statement, list(rows))
