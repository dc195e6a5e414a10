"""What discovery remembers: scans and their results, places, and the places that are watched."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel, col

from shared.store import Instant, Json, Transaction, insert


class Table(SQLModel, registry=registry()):
    """What all tables of this service belong to."""


class Scan(Table, table=True):
    """A walk over places: what was asked, how far it has come, and what came of it."""

    __tablename__ = "scans"

    id: str = Field(primary_key=True, max_length=36)
    state: str = Field(max_length=20, index=True)
    targets: list[str] = Field(sa_type=Json)
    ports: str = Field(max_length=1000)
    exclude: list[str] = Field(sa_type=Json)
    server_names: list[str] = Field(sa_type=Json)
    segments: list[dict[str, Any]] | None = Field(default=None, sa_type=Json)
    """The walk; empty as long as host names are still to be resolved."""
    unresolved: dict[str, str] = Field(sa_type=Json)
    """Host names that have no address, and why."""
    timeout: float
    concurrency: int
    total: int = Field(sa_type=sa.BigInteger)
    position: int = Field(default=0, sa_type=sa.BigInteger)
    """How many places of the walk are done: where it goes on after a crash."""
    counts: dict[str, int] = Field(sa_type=Json)
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)
    started_at: datetime | None = Field(default=None, sa_type=Instant)
    finished_at: datetime | None = Field(default=None, sa_type=Instant)
    lease: str | None = Field(default=None, max_length=36)
    lease_until: datetime | None = Field(default=None, sa_type=Instant)
    error: str | None = Field(default=None, max_length=500)


class Result(Table, table=True):
    """What came of one place of one scan."""

    __tablename__ = "scan_results"
    __table_args__ = (sa.Index("ix_scan_results_outcome", "scan_id", "outcome", "number"),)

    scan_id: str = Field(primary_key=True, max_length=36)
    number: int = Field(primary_key=True, sa_type=sa.BigInteger)
    address: str = Field(max_length=253)
    """The IP address, or a host name that has none."""
    port: int | None = None
    server_name: str | None = Field(default=None, max_length=253)
    outcome: str = Field(max_length=10)
    reason: str = Field("", max_length=500)
    fingerprint: str | None = Field(default=None, max_length=64)
    tls_version: str | None = Field(default=None, max_length=10)
    cipher_suite: str | None = Field(default=None, max_length=60)


class KnownPlace(Table, table=True):
    """A place that has served a certificate."""

    __tablename__ = "places"

    key: str = Field(primary_key=True, max_length=400)
    address: str = Field(max_length=45)
    port: int
    server_name: str | None = Field(default=None, max_length=253)
    fingerprint: str = Field(max_length=64, index=True)
    first_seen: datetime = Field(sa_type=Instant)
    last_seen: datetime = Field(sa_type=Instant)
    misses: int = 0
    missed_at: datetime | None = Field(default=None, sa_type=Instant)
    """When it was last missed in a way that counts."""


class Watch(Table, table=True):
    """A place that ought to change, and when to look at it next."""

    __tablename__ = "watches"

    place_key: str = Field(primary_key=True, max_length=400)
    address: str = Field(max_length=45)
    port: int
    server_name: str | None = Field(default=None, max_length=253)
    old_fingerprint: str | None = Field(default=None, max_length=64)
    looks: int = 0
    next_look_at: datetime = Field(sa_type=Instant, index=True)


async def is_scan_waiting(session: AsyncSession, *, now: datetime) -> bool:
    """Return whether there is a scan to be claimed."""
    return await session.scalar(_waiting(now).with_only_columns(col(Scan.id))) is not None


async def claim_scan(tx: Transaction, *, lease: str, until: datetime, now: datetime) -> Scan | None:
    """Take the oldest scan that is queued, or whose process has given no sign of life."""
    query = _waiting(now).with_for_update(skip_locked=True)
    scan: Scan | None = (await tx.session.scalars(query)).first()
    if scan is not None:
        scan.state = "running"
        scan.started_at = scan.started_at or now
        scan.lease, scan.lease_until = lease, until
    return scan


def _waiting(now: datetime) -> Any:
    is_free = sa.or_(col(Scan.lease_until).is_(None), col(Scan.lease_until) < now)
    is_open = col(Scan.state).in_(("queued", "running"))
    return sa.select(Scan).where(is_open, is_free).order_by(col(Scan.id)).limit(1)


async def keep_lease(tx: Transaction, scan_id: str, *, lease: str, until: datetime) -> bool:
    """Hold a scan for longer; return whether it is still ours and running."""
    mine = (col(Scan.id) == scan_id, col(Scan.lease) == lease, col(Scan.state) == "running")
    statement = sa.update(Scan).where(*mine).values(lease_until=until).returning(col(Scan.id))
    return (await tx.session.execute(statement)).first() is not None


async def end_lease(tx: Transaction, lease: str | None = None) -> None:
    """Let go of the scan held by this lease, or of all scans: the next who comes goes on with it."""
    statement = sa.update(Scan).values(lease=None, lease_until=None)
    await tx.session.execute(statement.where(col(Scan.lease) == lease) if lease else statement)


async def forget_results(tx: Transaction, *, finished_before: datetime) -> None:
    """Forget what came of each place of old scans; the scans and their counts stay."""
    old = sa.select(col(Scan.id)).where(col(Scan.finished_at) < finished_before)
    await tx.session.execute(sa.delete(Result).where(col(Result.scan_id).in_(old)))


async def scan_to_update(tx: Transaction, scan_id: str) -> Scan | None:
    """Return a scan, held until the transaction ends."""
    return await tx.session.get(Scan, scan_id, with_for_update=True)


async def scans(session: AsyncSession, *, after: str | None, limit: int) -> Sequence[Scan]:
    """Return scans, newest first."""
    query = sa.select(Scan).order_by(col(Scan.id).desc()).limit(limit + 1)
    if after:
        query = query.where(col(Scan.id) < after)
    return (await session.scalars(query)).all()


async def results(
    session: AsyncSession, scan_id: str, *, outcome: str | None, after: int | None, limit: int
) -> Sequence[Result]:
    """Return a scan's results in the order of the walk."""
    query = sa.select(Result).where(col(Result.scan_id) == scan_id).order_by(col(Result.number))
    if outcome:
        query = query.where(col(Result.outcome) == outcome)
    if after is not None:
        query = query.where(col(Result.number) > after)
    return (await session.scalars(query.limit(limit + 1))).all()


async def places(session: AsyncSession, *, after: str | None, limit: int) -> Sequence[KnownPlace]:
    """Return known places by key."""
    query = sa.select(KnownPlace).order_by(col(KnownPlace.key)).limit(limit + 1)
    if after:
        query = query.where(col(KnownPlace.key) > after)
    return (await session.scalars(query)).all()


async def write_results(tx: Transaction, rows: Sequence[dict[str, Any]]) -> None:
    """Keep results; one that is there already is left as it is."""
    if rows:
        await tx.session.execute(insert(tx, Result).values(list(rows)).on_conflict_do_nothing())


async def see_places(tx: Transaction, rows: Sequence[dict[str, Any]]) -> None:
    """Keep what the places serve now; rows have distinct keys."""
    if not rows:
        return
    statement = insert(tx, KnownPlace)
    changes = {name: statement.excluded[name] for name in ("fingerprint", "last_seen", "misses", "missed_at")}
    await tx.session.execute(
        statement.values(list(rows)).on_conflict_do_update(index_elements=["key"], set_=changes)
    )


async def missed_places(tx: Transaction, keys: Sequence[str]) -> Sequence[KnownPlace]:
    """Return those of the places that are known, held until the transaction ends."""
    query = sa.select(KnownPlace).where(col(KnownPlace.key).in_(keys)).order_by(col(KnownPlace.key))
    query = query.with_for_update()
    return (await tx.session.scalars(query)).all()


async def watch_places(tx: Transaction, rows: Sequence[dict[str, Any]]) -> None:
    """Watch these places, in place of what they were watched for before; rows have distinct keys."""
    if rows:
        statement = insert(tx, Watch).values(list(rows))
        await tx.session.execute(_instead(statement, sooner_only=False))


async def watch_places_serving(
    tx: Transaction, fingerprint: str, *, at: datetime, sooner_only: bool = False
) -> None:
    """Watch every place last seen to serve this certificate, in one statement however many there are.

    `sooner_only` leaves a watch alone that looks earlier anyway.
    """
    source = sa.select(
        col(KnownPlace.key),
        col(KnownPlace.address),
        col(KnownPlace.port),
        col(KnownPlace.server_name),
        sa.literal(fingerprint),
        sa.literal(0),
        sa.literal(at, Instant),
    ).where(col(KnownPlace.fingerprint) == fingerprint)
    names = ["place_key", "address", "port", "server_name", "old_fingerprint", "looks", "next_look_at"]
    statement = insert(tx, Watch).from_select(names, source)
    await tx.session.execute(_instead(statement, sooner_only=sooner_only))


def _instead(statement: Any, *, sooner_only: bool) -> Any:
    new = statement.excluded
    changes = {name: new[name] for name in ("old_fingerprint", "looks", "next_look_at")}
    condition = new.next_look_at < col(Watch.next_look_at) if sooner_only else None
    return statement.on_conflict_do_update(index_elements=["place_key"], set_=changes, where=condition)


async def claim_watches(tx: Transaction, *, now: datetime, lease: timedelta, limit: int) -> Sequence[Watch]:
    """Take due watches; they come due again after the lease if nothing becomes of this look."""
    query = (
        sa.select(Watch)
        .where(col(Watch.next_look_at) <= now)
        .order_by(col(Watch.next_look_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    due = (await tx.session.scalars(query)).all()
    for watch in due:
        watch.next_look_at = now + lease
    return due


async def watches_as_claimed(tx: Transaction, due: Sequence[Watch]) -> Sequence[Watch]:
    """Return those of the claimed watches that nobody has changed since, held until the transaction ends."""
    if not due:
        return ()
    at = due[0].next_look_at
    query = (
        sa.select(Watch)
        .where(col(Watch.place_key).in_([watch.place_key for watch in due]), col(Watch.next_look_at) == at)
        .with_for_update()
    )
    return (await tx.session.scalars(query)).all()
