"""The audit trail as it is kept: entries, checkpoints with what others have signed on them, and tombstones."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from services.notifier.domain.trails import Standing
from services.notifier.store.tables import SUBJECTS, Table
from shared.audit.chain import BEGINNING
from shared.store import Instant, Json, Sealed, Transaction, insert, write_rows
from shared.store.scopes import Scope, within

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_AT_ONCE = 1000
_ONE = 1


class TrailEntry(Table, table=True):
    """An entry of the audit trail: the line that is hashed, and beside it what is searched."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        sa.UniqueConstraint("source", "sequence"),
        sa.Index("ix_audit_entries_object", "object_kind", "object_id", "number"),
    )

    number: int = Field(primary_key=True, sa_type=sa.BigInteger, sa_column_kwargs={"autoincrement": False})
    event_id: str = Field(max_length=36, unique=True)
    source: str = Field(max_length=30)
    sequence: int = Field(sa_type=sa.BigInteger)
    at: datetime = Field(sa_type=Instant, index=True)
    actor_id: str = Field(max_length=100, index=True)
    action: str = Field(max_length=100, index=True)
    object_kind: str = Field(max_length=50)
    object_id: str = Field(max_length=300)
    lineage_id: str | None = Field(default=None, max_length=100, index=True)
    groups: list[str] = Field(sa_type=Json)
    trace_id: str = Field(max_length=32, index=True)
    line: str = Field(sa_type=sa.Text)
    """The entry as it is exported, to the letter."""
    digest: str = Field(max_length=64)
    """Of the line; the next entry holds it."""


class TrailHead(Table, table=True):
    """Where the trail ends. Its row is what those who append wait for one another at."""

    __tablename__ = "audit_head"

    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    number: int = Field(sa_type=sa.BigInteger)
    digest: str = Field(max_length=64)


class TrailSource(Table, table=True):
    """How many changes a service has told, and the highest number among them: where they differ, one is missing."""

    __tablename__ = "audit_sources"

    source: str = Field(primary_key=True, max_length=30)
    highest: int = Field(sa_type=sa.BigInteger)
    entries: int = Field(sa_type=sa.BigInteger)
    key: dict[str, str] | None = Field(default=None, sa_type=Json)
    """What it co-signs with, as it was first told: a JWK."""
    missing_since: datetime | None = Field(default=None, sa_type=Instant)
    """When it was first noticed that one is missing which still is."""


class TrailKey(Table, table=True):
    """A key of the trail that does not sign: it has, or is to be the next."""

    __tablename__ = "audit_keys"

    id: str = Field(primary_key=True, max_length=36)
    jwk: dict[str, str] = Field(sa_type=Json)
    """Its public half."""
    private_key: bytes | None = Field(default=None, sa_type=Sealed)
    """Until it signs; of one that has signed there is none."""
    made_at: datetime = Field(sa_type=Instant)
    retired_at: datetime | None = Field(default=None, sa_type=Instant)


class TrailCheckpoint(Table, table=True):
    """A signed end of a segment of the trail."""

    __tablename__ = "audit_checkpoints"

    number: int = Field(primary_key=True, sa_type=sa.BigInteger, sa_column_kwargs={"autoincrement": False})
    first: int = Field(sa_type=sa.BigInteger)
    last: int = Field(sa_type=sa.BigInteger)
    head: str = Field(max_length=64)
    token: str = Field(sa_type=sa.Text)
    """The JWS."""
    tombstone: str | None = Field(default=None, sa_type=sa.Text)
    """A JWS, once the entries were let go."""
    at: datetime = Field(sa_type=Instant)


class TrailCosignature(Table, table=True):
    """What another service has signed on a checkpoint."""

    __tablename__ = "audit_cosignatures"

    checkpoint: int = Field(
        primary_key=True, sa_type=sa.BigInteger, sa_column_kwargs={"autoincrement": False}
    )
    source: str = Field(primary_key=True, max_length=30)
    token: str = Field(sa_type=sa.Text)
    at: datetime = Field(sa_type=Instant)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which entries are searched for; None says nothing."""

    exactly: Mapping[str, str]
    """By column."""
    since: datetime | None = None
    until: datetime | None = None


async def hold_head(tx: Transaction) -> TrailHead:
    """Return the end of the trail, which nobody else moves until the transaction ends."""
    new = insert(tx, TrailHead).values(id=_ONE, number=0, digest=BEGINNING).on_conflict_do_nothing()
    await tx.session.execute(new)
    query = sa.select(TrailHead).where(col(TrailHead.id) == _ONE).with_for_update()
    return (await tx.session.scalars(query, execution_options={"populate_existing": True})).one()


async def head(session: AsyncSession) -> tuple[int, str]:
    """Return the number and the digest of the last entry."""
    row = await session.get(TrailHead, _ONE)
    return (row.number, row.digest) if row is not None else (0, BEGINNING)


async def add_entries(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append entries, and count them by who has told them."""
    await write_rows(tx, sa.insert(TrailEntry), rows)
    sources = sorted({str(row["source"]) for row in rows})
    counted = []
    for source in sources:
        numbers = [int(row["sequence"]) for row in rows if row["source"] == source]
        counted.append({"source": source, "highest": max(numbers), "entries": len(numbers)})
    new = insert(tx, TrailSource)
    highest = sa.case(
        (new.excluded.highest > TrailSource.highest, new.excluded.highest), else_=TrailSource.highest
    )
    more = new.on_conflict_do_update(
        index_elements=["source"],
        set_={"highest": highest, "entries": col(TrailSource.entries) + new.excluded.entries},
    )
    await write_rows(tx, more, counted)


async def trail_page(
    session: AsyncSession, wanted: Wanted, *, before: int | None, limit: int, scope: Scope
) -> Sequence[TrailEntry]:
    """Return up to `limit + 1` entries that a scope may see, newest first."""
    columns = TrailEntry.__table__.c  # type: ignore[attr-defined] # what SQLModel makes of a class with `table=True`
    query = sa.select(TrailEntry).where(*(columns[name] == value for name, value in wanted.exactly.items()))
    if scope is not None:
        about = SUBJECTS.within(col(TrailEntry.lineage_id), scope)
        query = query.where(sa.or_(within(TrailEntry.groups, scope), about))
    if wanted.since is not None:
        query = query.where(col(TrailEntry.at) >= wanted.since)
    if wanted.until is not None:
        query = query.where(col(TrailEntry.at) < wanted.until)
    if before is not None:
        query = query.where(col(TrailEntry.number) < before)
    query = query.order_by(col(TrailEntry.number).desc()).limit(limit + 1)
    return (await session.scalars(query)).all()


async def entries_after(
    session: AsyncSession, number: int, *, limit: int, until: int | None = None
) -> Sequence[TrailEntry]:
    """Return entries in their order, those after a number."""
    query = sa.select(TrailEntry).where(col(TrailEntry.number) > number)
    if until is not None:
        query = query.where(col(TrailEntry.number) <= until)
    return (await session.scalars(query.order_by(col(TrailEntry.number)).limit(limit))).all()


async def lines_of(session: AsyncSession, *, first: int, last: int) -> AsyncIterator[str]:
    """Yield the lines of a stretch of the trail in their order."""
    after = first - 1
    columns = (col(TrailEntry.number), col(TrailEntry.line))
    while after < last:
        query = sa.select(*columns).where(columns[0] > after, columns[0] <= last)
        rows = (await session.execute(query.order_by(columns[0]).limit(_AT_ONCE))).all()
        if not rows:
            return
        for row in rows:
            yield row.line
        after = rows[-1].number


async def last_checkpoint(session: AsyncSession) -> TrailCheckpoint | None:
    """Return the newest checkpoint."""
    query = sa.select(TrailCheckpoint).order_by(col(TrailCheckpoint.number).desc()).limit(1)
    return (await session.scalars(query)).first()


async def checkpoints_after(session: AsyncSession, number: int, *, limit: int) -> Sequence[TrailCheckpoint]:
    """Return checkpoints in their order, those after a number."""
    query = sa.select(TrailCheckpoint).where(col(TrailCheckpoint.number) > number)
    return (await session.scalars(query.order_by(col(TrailCheckpoint.number)).limit(limit))).all()


async def cosignatures_of(session: AsyncSession, numbers: Sequence[int]) -> dict[int, list[TrailCosignature]]:
    """Return what others have signed on checkpoints."""
    query = sa.select(TrailCosignature).where(col(TrailCosignature.checkpoint).in_(numbers))
    found: dict[int, list[TrailCosignature]] = {number: [] for number in numbers}
    for row in await session.scalars(query.order_by(col(TrailCosignature.source))):
        found[row.checkpoint].append(row)
    return found


async def keep_cosignature(tx: Transaction, row: TrailCosignature) -> None:
    """Keep what a service has signed; once is enough."""
    await tx.session.execute(insert(tx, TrailCosignature).values(row.model_dump()).on_conflict_do_nothing())


async def pin_key(tx: Transaction, source: str, key: Mapping[str, str]) -> dict[str, str]:
    """Return the key that a service co-signs with: this one, where none was told before."""
    values = {"source": source, "highest": 0, "entries": 0, "key": dict(key)}
    new = insert(tx, TrailSource).values(values)
    pinned = sa.func.coalesce(col(TrailSource.key), new.excluded.key)
    await tx.session.execute(new.on_conflict_do_update(index_elements=["source"], set_={"key": pinned}))
    row = await tx.session.get_one(TrailSource, source, populate_existing=True)
    return dict(row.key or {})


async def waiting_key(tx: Transaction) -> TrailKey | None:
    """Return the key that is to follow the present one."""
    query = sa.select(TrailKey).where(col(TrailKey.retired_at).is_(None))
    return (await tx.session.scalars(query)).first()


async def retired_keys(session: AsyncSession) -> Sequence[TrailKey]:
    """Return the keys that have signed, the latest first."""
    query = sa.select(TrailKey).where(col(TrailKey.retired_at).is_not(None))
    return (await session.scalars(query.order_by(col(TrailKey.retired_at).desc()))).all()


async def retire_key(
    tx: Transaction, key_id: str, *, jwk: Mapping[str, str], heir: str, now: datetime
) -> None:
    """Keep the public half of a key that signs no more; its heir waits no longer."""
    await tx.session.execute(sa.delete(TrailKey).where(col(TrailKey.id) == heir))
    tx.session.add(TrailKey(id=key_id, jwk=dict(jwk), made_at=now, retired_at=now))
    await tx.session.flush()


async def trail_sources(session: AsyncSession) -> Sequence[TrailSource]:
    """Return all who have told something."""
    return (await session.scalars(sa.select(TrailSource).order_by(col(TrailSource.source)))).all()


async def note_missing(tx: Transaction, *, now: datetime) -> None:
    """Note since when changes are missing, and where none are any more."""
    highest, entries, since = (
        col(TrailSource.highest),
        col(TrailSource.entries),
        col(TrailSource.missing_since),
    )
    begun, ended = (highest > entries, since.is_(None)), (highest <= entries, since.is_not(None))
    await tx.session.execute(sa.update(TrailSource).where(*begun).values(missing_since=now))
    await tx.session.execute(sa.update(TrailSource).where(*ended).values(missing_since=None))


async def standings(session: AsyncSession) -> list[Standing]:
    """Return how all who have told something stand to the trail."""
    return [await _standing(session, source) for source in await trail_sources(session)]


async def _standing(session: AsyncSession, source: TrailSource) -> Standing:
    mine = sa.select(TrailCosignature).where(col(TrailCosignature.source) == source.source)
    newest = mine.order_by(col(TrailCosignature.checkpoint).desc()).limit(1)
    signed = (await session.scalars(newest)).first()
    next_one = await checkpoints_after(session, signed.checkpoint, limit=1) if signed is not None else []
    return Standing(
        source=source.source,
        missing=source.highest - source.entries,
        missing_since=source.missing_since,
        unsigned=next_one[0].number if next_one else None,
        unsigned_since=next_one[0].at if next_one else None,
        signed_at=signed.at if signed is not None else None,
    )


async def end_before(session: AsyncSession, checkpoint: TrailCheckpoint) -> str | None:
    """Return the digest of the entry before a segment; None where the checkpoint that would say it is gone."""
    if checkpoint.number == 1:
        return BEGINNING
    before = await session.get(TrailCheckpoint, checkpoint.number - 1)
    return before.head if before is not None else None


async def oldest_segment(tx: Transaction, *, ended_before: datetime) -> TrailCheckpoint | None:
    """Return the oldest segment that is still there, where its checkpoint is that old."""
    query = sa.select(TrailCheckpoint).where(col(TrailCheckpoint.tombstone).is_(None))
    query = query.order_by(col(TrailCheckpoint.number)).limit(1).with_for_update()
    row = (await tx.session.scalars(query)).first()
    return row if row is not None and row.at < ended_before else None


async def forget_entries(tx: Transaction, *, first: int, last: int) -> None:
    """Let the entries of a segment go."""
    number = col(TrailEntry.number)
    await tx.session.execute(sa.delete(TrailEntry).where(number >= first, number <= last))
