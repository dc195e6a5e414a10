"""Sources, the runs that read them, what they hold, and what could not be read."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from services.discovery.store.tables import Table
from shared.store import Instant, Json, Sealed, Transaction, insert, write_rows
from shared.store.scopes import Scope, within


class SourceRow(Table, table=True):
    """Something that we log into to look."""

    __tablename__ = "sources"

    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(max_length=200, unique=True)
    kind: str = Field(max_length=50)
    group: str | None = Field(default=None, max_length=100, index=True)
    """Those of a group are made known, and read, by one call."""
    groups: list[str] = Field(default_factory=list, sa_type=Json)
    """Who sees it; the name above has nothing to do with them."""
    settings: dict[str, Any] = Field(sa_type=Json)
    credential: bytes = Field(sa_type=Sealed)
    """Sealed to this row; empty where it lies in a secret store."""
    secret_store_id: str | None = Field(default=None, max_length=36, index=True)
    credential_from: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """Where in that store, and under which names."""
    every: float | None = None
    """Seconds from the beginning of one run to that of the next."""
    next_run_at: datetime | None = Field(default=None, sa_type=Instant, index=True)
    last_run_id: str | None = Field(default=None, max_length=36)
    version: int = 1
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)
    updated_at: datetime = Field(sa_type=Instant)


class SourceRun(Table, table=True):
    """One reading of a source, from its beginning to its end."""

    __tablename__ = "source_runs"

    id: str = Field(primary_key=True, max_length=36)
    source_id: str = Field(max_length=36, index=True)
    state: str = Field(max_length=20, index=True)
    """queued, running, finished, failed; or sending and superseded, where a source sends by itself."""
    position: str | None = Field(default=None, max_length=2000)
    """Where it goes on after a crash or a failure; of a run that is sent, the name of its snapshot."""
    job_id: str | None = Field(default=None, max_length=36, index=True)
    """The reading of a whole group that it is part of."""
    host: str | None = Field(default=None, max_length=253)
    """What it connects to, as the settings name it; None where that is no host."""
    network: str | None = Field(default=None, max_length=64)
    """That host's /24 (IPv6: /64); None until it was resolved, empty where it has no address."""
    attempts: int = 0
    next_attempt_at: datetime = Field(sa_type=Instant)
    holdings: int = 0
    gaps: list[dict[str, Any]] = Field(sa_type=Json)
    error: str | None = Field(default=None, max_length=1000)
    next_step: str | None = Field(default=None, max_length=500)
    lease: str | None = Field(default=None, max_length=36)
    lease_until: datetime | None = Field(default=None, sa_type=Instant)
    created_at: datetime = Field(sa_type=Instant)
    finished_at: datetime | None = Field(default=None, sa_type=Instant)


class HoldingRow(Table, table=True):
    """One certificate in a source, as it was read last."""

    __tablename__ = "holdings"

    source_id: str = Field(primary_key=True, max_length=36)
    address: str = Field(primary_key=True, max_length=253, index=True)
    path: str = Field(primary_key=True, max_length=1000)
    fingerprint: str = Field(max_length=64, index=True)
    details: dict[str, Any] = Field(sa_type=Json)
    """Format, owner, group, mode, key, uses, attributes."""
    run_id: str = Field(max_length=36)
    """The last that has seen it."""
    first_seen: datetime = Field(sa_type=Instant)
    last_seen: datetime = Field(sa_type=Instant)
    misses: int = 0


Key = tuple[str, str]
"""Address and path."""
OPEN, ENDED = ("queued", "running"), ("finished", "failed")


@dataclass(frozen=True, kw_only=True)
class Room:
    """How many sources may be read at a time, by all processes together."""

    per_host: int
    per_network: int


async def list_sources(
    session: AsyncSession, *, group: str | None = None, after: str | None, limit: int, scope: Scope
) -> Sequence[SourceRow]:
    """Return up to `limit + 1` sources of a scope, newest first."""
    query = sa.select(SourceRow).where(within(SourceRow.groups, scope))
    query = query.order_by(col(SourceRow.id).desc()).limit(limit + 1)
    if group:
        query = query.where(col(SourceRow.group) == group)
    if after:
        query = query.where(col(SourceRow.id) < after)
    return (await session.scalars(query)).all()


async def source_named(session: AsyncSession, name: str) -> SourceRow | None:
    """Return the source of this name."""
    return (await session.scalars(sa.select(SourceRow).where(col(SourceRow.name) == name))).first()


async def source_to_update(tx: Transaction, source_id: str) -> SourceRow | None:
    """Return a source, held until the transaction ends."""
    return await tx.session.get(SourceRow, source_id, with_for_update=True)


async def forget_source(tx: Transaction, source: SourceRow) -> None:
    """Delete a source with its runs and holdings."""
    for table in (SourceRun, HoldingRow):
        await tx.session.execute(sa.delete(table).where(col(table.source_id) == source.id))
    await tx.session.delete(source)


async def due_sources(tx: Transaction, *, now: datetime) -> Sequence[SourceRow]:
    """Return sources whose time has come, held until the transaction ends."""
    query = sa.select(SourceRow).where(col(SourceRow.next_run_at) <= now).order_by(col(SourceRow.id))
    return (await tx.session.scalars(query.limit(100).with_for_update(skip_locked=True))).all()


async def list_runs(
    session: AsyncSession, source_id: str, *, after: str | None, limit: int
) -> Sequence[SourceRun]:
    """Return up to `limit + 1` runs of a source, newest first."""
    query = sa.select(SourceRun).where(col(SourceRun.source_id) == source_id)
    if after:
        query = query.where(col(SourceRun.id) < after)
    return (await session.scalars(query.order_by(col(SourceRun.id).desc()).limit(limit + 1))).all()


async def has_failed(tx: Transaction, source_id: str, *, before: str | None = None) -> bool:
    """Return whether the last run of a source that has ended, or the last before this one, has failed."""
    query = sa.select(col(SourceRun.state)).where(
        col(SourceRun.source_id) == source_id, col(SourceRun.state).in_(ENDED)
    )
    if before:
        query = query.where(col(SourceRun.id) < before)
    return (await tx.session.scalar(query.order_by(col(SourceRun.id).desc()).limit(1))) == "failed"


async def open_run(tx: Transaction, source_id: str) -> SourceRun | None:
    """Return the run of a source that is not done."""
    query = sa.select(SourceRun).where(col(SourceRun.source_id) == source_id, col(SourceRun.state).in_(OPEN))
    return (await tx.session.scalars(query)).first()


async def sending_run(tx: Transaction, source_id: str) -> SourceRun | None:
    """Return the snapshot that is being sent to a source, held until the transaction ends."""
    query = sa.select(SourceRun).where(
        col(SourceRun.source_id) == source_id, col(SourceRun.state) == "sending"
    )
    return (await tx.session.scalars(query.with_for_update())).first()


async def is_run_due(session: AsyncSession, *, room: Room, now: datetime) -> bool:
    """Return whether there is a run to be claimed, or a source whose time has come."""
    is_due = sa.select(col(SourceRow.id)).where(col(SourceRow.next_run_at) <= now).limit(1)
    if await session.scalar(is_due) is not None:
        return True
    return await session.scalar(_waiting(room, now).with_only_columns(col(SourceRun.id))) is not None


async def claim_run(
    tx: Transaction, *, room: Room, lease: str, until: datetime, now: datetime
) -> SourceRun | None:
    """Take the run that waits longest of those that there is room for; it runs from now on."""
    await _one_claims(tx)
    run: SourceRun | None = (
        await tx.session.scalars(_waiting(room, now).with_for_update(skip_locked=True))
    ).first()
    if run is not None:
        run.lease, run.lease_until, run.state = lease, until, "running"
        run.attempts += 1
    return run


async def _one_claims(tx: Transaction) -> None:
    """Let replicas claim one after the other: at the same time both would count the same as free."""
    if tx.session.get_bind().dialect.name == "postgresql":
        await tx.session.execute(sa.select(sa.func.pg_advisory_xact_lock(_CLAIMING)))


_CLAIMING = 7305811


async def has_room(tx: Transaction, run: SourceRun, *, room: Room, now: datetime) -> bool:
    """Return whether a run that is claimed is within the limit of its network."""
    await _one_claims(tx)
    mine = (col(SourceRun.network) == run.network, col(SourceRun.lease_until) >= now)
    count = await tx.session.scalar(sa.select(sa.func.count()).select_from(SourceRun).where(*mine))
    return not run.network or (count or 0) <= room.per_network


def _waiting(room: Room, now: datetime) -> Any:
    is_free = sa.or_(col(SourceRun.lease_until).is_(None), col(SourceRun.lease_until) < now)
    is_due = (col(SourceRun.state).in_(OPEN), is_free, col(SourceRun.next_attempt_at) <= now)
    has_room = (
        _has_room(col(SourceRun.host), most=room.per_host, now=now),
        _has_room(col(SourceRun.network), most=room.per_network, now=now),
    )
    return sa.select(SourceRun).where(*is_due, *has_room).order_by(col(SourceRun.next_attempt_at)).limit(1)


def _has_room(column: Any, *, most: int, now: datetime) -> Any:
    full = (
        sa.select(column)
        .where(col(SourceRun.lease_until) >= now, column.is_not(None), column != "")
        .group_by(column)
        .having(sa.func.count() >= most)
    )
    return sa.or_(column.is_(None), column.not_in(full))


async def keep_run_lease(tx: Transaction, run_id: str, *, lease: str, until: datetime) -> bool:
    """Hold a run for longer; return whether it is still ours."""
    mine = (col(SourceRun.id) == run_id, col(SourceRun.lease) == lease, col(SourceRun.state) == "running")
    statement = sa.update(SourceRun).where(*mine).values(lease_until=until).returning(col(SourceRun.id))
    return (await tx.session.execute(statement)).first() is not None


async def end_run_lease(tx: Transaction, lease: str | None = None) -> None:
    """Let go of the run held by this lease, or of all."""
    statement = sa.update(SourceRun).values(lease=None, lease_until=None)
    await tx.session.execute(statement.where(col(SourceRun.lease) == lease) if lease else statement)


async def run_to_update(tx: Transaction, run_id: str) -> SourceRun | None:
    """Return a run, held until the transaction ends."""
    return await tx.session.get(SourceRun, run_id, with_for_update=True)


async def write_holdings(tx: Transaction, rows: Sequence[dict[str, Any]]) -> None:
    """Keep what a source holds now; rows have distinct addresses and paths."""
    statement = insert(tx, HoldingRow)
    names = ("fingerprint", "details", "run_id", "last_seen", "misses")
    changes = {name: statement.excluded[name] for name in names}
    await write_rows(
        tx,
        statement.on_conflict_do_update(index_elements=["source_id", "address", "path"], set_=changes),
        rows,
    )


async def list_holdings(
    session: AsyncSession, source_id: str, *, after: Sequence[str] | None, limit: int
) -> Sequence[HoldingRow]:
    """Return up to `limit + 1` holdings of a source, by address and path."""
    order = (col(HoldingRow.address), col(HoldingRow.path))
    query = sa.select(HoldingRow).where(col(HoldingRow.source_id) == source_id)
    if after:
        query = query.where(sa.tuple_(*order) > sa.tuple_(*after))
    return (await session.scalars(query.order_by(*order).limit(limit + 1))).all()


async def fingerprints_held(tx: Transaction, source_id: str, keys: Sequence[Key]) -> dict[Key, str]:
    """Return what a source holds at some addresses and paths."""
    found = await tx.session.execute(_at(keys).where(col(HoldingRow.source_id) == source_id))
    return {(row.address, row.path): row.fingerprint for row in found.all()}


async def held_elsewhere(tx: Transaction, source_id: str, keys: Sequence[Key]) -> set[Key]:
    """Return those of some addresses and paths that another source has told of."""
    found = await tx.session.execute(_at(keys).where(col(HoldingRow.source_id) != source_id))
    return {(row.address, row.path) for row in found.all()}


def _at(keys: Sequence[Key]) -> sa.Select[str, str, str]:
    columns = (col(HoldingRow.address), col(HoldingRow.path), col(HoldingRow.fingerprint))
    return sa.select(*columns).where(sa.tuple_(*columns[:2]).in_(keys))


async def holdings_not_seen(tx: Transaction, source_id: str, *, run_id: str) -> Collection[HoldingRow]:
    """Return what a source held before this run and did not show in it, held until the transaction ends."""
    query = sa.select(HoldingRow).where(
        col(HoldingRow.source_id) == source_id, col(HoldingRow.run_id) != run_id
    )
    return (await tx.session.scalars(query.with_for_update())).all()
