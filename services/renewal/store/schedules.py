"""Schedules: when each enrolled lineage is renewed and why, and which issuers are not trusted any more."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from services.renewal.store.orders import expiry_of
from services.renewal.store.tables import LINEAGES, Enrolment, Order, Table
from shared.store import Instant, Json, Transaction
from shared.store.scopes import Scope

NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""When a lineage is due of which it is not known yet."""
_IS_WAITING = sa.text("ordered_at IS NULL")
_ASKS_INVENTORY = sa.text("ask_at IS NOT NULL")
_ASKS_AUTHORITY = sa.text("look_at IS NOT NULL")
_IS_TO_BE_TIMED = sa.text("is_to_be_timed")


class Schedule(Table, table=True):
    """When the certificate of an enrolled lineage is renewed: kept, so that it does not change with who looks."""

    __tablename__ = "schedules"
    __table_args__ = (
        sa.Index(
            "ix_schedules_due",
            "renew_at",
            "lineage_id",
            sqlite_where=_IS_WAITING,
            postgresql_where=_IS_WAITING,
        ),
        sa.Index("ix_schedules_order", "renew_at", "lineage_id"),
        sa.Index(
            "ix_schedules_ask", "ask_at", sqlite_where=_ASKS_INVENTORY, postgresql_where=_ASKS_INVENTORY
        ),
        sa.Index(
            "ix_schedules_look", "look_at", sqlite_where=_ASKS_AUTHORITY, postgresql_where=_ASKS_AUTHORITY
        ),
        sa.Index(
            "ix_schedules_untimed",
            "lineage_id",
            sqlite_where=_IS_TO_BE_TIMED,
            postgresql_where=_IS_TO_BE_TIMED,
        ),
        sa.Index("ix_schedules_issuer_key", "issuer_key"),
    )

    lineage_id: str = Field(primary_key=True, max_length=100)
    fingerprint: str | None = Field(default=None, max_length=64)
    """The certificate that is to be renewed; empty as long as it is not known."""
    names: list[str] | None = Field(default=None, sa_type=Json)
    issuer: str | None = Field(default=None, sa_type=sa.Text)
    issuer_key: str | None = Field(default=None, max_length=64)
    """SHA-256 of the issuer's public key (SPKI), where its certificate is known."""
    authority_id: str | None = Field(default=None, max_length=36, index=True)
    """Who issued it, where that was for an order of ours."""
    not_before: datetime | None = Field(default=None, sa_type=Instant)
    not_after: datetime | None = Field(default=None, sa_type=Instant)
    renew_at: datetime = Field(default=NEVER, sa_type=Instant)
    reason: str = Field(default="unknown", max_length=20)
    because: str | None = Field(default=None, sa_type=sa.Text)
    """For people: what made it due, where something did."""
    forced: str | None = Field(default=None, max_length=20)
    """The reason for which it is due whatever its time is."""
    forced_at: datetime | None = Field(default=None, sa_type=Instant)
    ari_start: datetime | None = Field(default=None, sa_type=Instant)
    ari_end: datetime | None = Field(default=None, sa_type=Instant)
    ari_explanation: str | None = Field(default=None, sa_type=sa.Text)
    ari_failures: int = 0
    """How often in a row the authority did not answer."""
    look_at: datetime | None = Field(default=None, sa_type=Instant)
    """When the authority is asked for its window; empty for never."""
    ask_at: datetime | None = Field(default=None, sa_type=Instant)
    """When inventory is asked for the certificate; empty where it is known."""
    is_to_be_timed: bool = False
    """Its profile says something else now."""
    ordered_at: datetime | None = Field(default=None, sa_type=Instant)
    """When the renewal of this certificate was ordered."""
    updated_at: datetime = Field(sa_type=Instant)


class Distrust(Table, table=True):
    """An issuer that is not to be relied on any more: what it has issued is due now."""

    __tablename__ = "distrusts"

    id: str = Field(primary_key=True, max_length=36)
    authority_id: str | None = Field(default=None, max_length=36)
    issuer: str | None = Field(default=None, sa_type=sa.Text)
    issuer_key: str | None = Field(default=None, max_length=64)
    reason: str = Field(sa_type=sa.Text)
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)


async def due_schedules(tx: Transaction, *, now: datetime, limit: int) -> Sequence[Schedule]:
    """Return schedules that are due and not ordered, the longest due first, for changing; none that another changes."""
    query = sa.select(Schedule).where(col(Schedule.ordered_at).is_(None), col(Schedule.renew_at) <= now)
    query = query.order_by(col(Schedule.renew_at), col(Schedule.lineage_id)).limit(limit)
    return (await tx.session.scalars(query.with_for_update(skip_locked=True))).all()


async def unknown_schedules(tx: Transaction, *, now: datetime, limit: int) -> Sequence[Schedule]:
    """Return schedules for which inventory is to be asked, for changing."""
    query = sa.select(Schedule).where(col(Schedule.ask_at) <= now).order_by(col(Schedule.ask_at)).limit(limit)
    return (await tx.session.scalars(query.with_for_update(skip_locked=True))).all()


async def unlooked_schedules(tx: Transaction, *, now: datetime, limit: int) -> Sequence[Schedule]:
    """Return schedules for which an authority is to be asked for its window, for changing."""
    query = (
        sa.select(Schedule).where(col(Schedule.look_at) <= now).order_by(col(Schedule.look_at)).limit(limit)
    )
    return (await tx.session.scalars(query.with_for_update(skip_locked=True))).all()


async def schedules(
    session: AsyncSession,
    *,
    after: tuple[datetime, str] | None,
    limit: int,
    scope: Scope,
    reason: str | None = None,
    due_before: datetime | None = None,
) -> Sequence[Schedule]:
    """Return up to `limit + 1` schedules of a scope, those that are due first first."""
    key = sa.tuple_(col(Schedule.renew_at), col(Schedule.lineage_id))
    query = sa.select(Schedule).where(LINEAGES.within(col(Schedule.lineage_id), scope))
    if reason is not None:
        query = query.where(col(Schedule.reason) == reason)
    if due_before is not None:
        query = query.where(col(Schedule.renew_at) < due_before)
    if after is not None:
        query = query.where(key > sa.tuple_(sa.literal(after[0], Instant), sa.literal(after[1])))
    query = query.order_by(col(Schedule.renew_at), col(Schedule.lineage_id)).limit(limit + 1)
    return (await session.scalars(query)).all()


async def enrolments_of(session: AsyncSession, lineages: Collection[str]) -> dict[str, Enrolment]:
    """Return the enrolments of lineages, by these."""
    query = sa.select(Enrolment).where(col(Enrolment.lineage_id).in_(lineages))
    return {row.lineage_id: row for row in await session.scalars(query)}


async def distrusts(session: AsyncSession) -> Sequence[Distrust]:
    """Return all there are, newest first."""
    return (await session.scalars(sa.select(Distrust).order_by(col(Distrust.id).desc()))).all()


async def distrusted_authorities(session: AsyncSession) -> frozenset[str]:
    """Return the ids of the authorities that are not to issue."""
    ids = await session.scalars(
        sa.select(col(Distrust.authority_id)).where(col(Distrust.authority_id).is_not(None))
    )
    return frozenset(each for each in ids if each is not None)


async def make_due(tx: Transaction, distrust: Distrust, *, reason: str, because: str, now: datetime) -> int:
    """Let all be due now whose issuer is not trusted, and that are not ordered; return how many."""
    forced = {"renew_at": now, "reason": reason, "forced": reason, "forced_at": now, "because": because}
    changed = (
        sa.update(Schedule)
        .where(col(Schedule.ordered_at).is_(None), _is_issued_by(distrust))
        .values(**forced, look_at=None, updated_at=now)
    )
    return int((await tx.session.execute(changed)).rowcount)  # type: ignore[attr-defined] # an UPDATE has one


def _is_issued_by(distrust: Distrust) -> sa.ColumnElement[bool]:
    given = {name: getattr(distrust, name) for name in ("authority_id", "issuer", "issuer_key")}
    return sa.or_(*(col(getattr(Schedule, name)) == value for name, value in given.items() if value))


async def retime_lineages_of(tx: Transaction, profile_id: str) -> None:
    """Let the schedules of a profile's lineages be worked out anew, little by little: there may be very many."""
    of_it = sa.select(col(Enrolment.lineage_id)).where(col(Enrolment.profile_id) == profile_id)
    changed = sa.update(Schedule).where(
        col(Schedule.lineage_id).in_(of_it),
        col(Schedule.ordered_at).is_(None),
        col(Schedule.ask_at).is_(None),
    )
    await tx.session.execute(changed.values(is_to_be_timed=True))


async def untimed_schedules(tx: Transaction, *, limit: int) -> Sequence[Schedule]:
    """Return schedules that are to be worked out anew, for changing."""
    query = sa.select(Schedule).where(col(Schedule.is_to_be_timed)).limit(limit)
    return (await tx.session.scalars(query.with_for_update(skip_locked=True))).all()


async def left_of(
    session: AsyncSession, order: Order, *, now: datetime
) -> tuple[timedelta | None, timedelta | None]:
    """Return how long the certificate that an order replaces is valid still, and how long it is in all, where known."""
    row = await session.get(Schedule, order.lineage_id)
    if (
        row is None
        or row.fingerprint != order.old_fingerprint
        or row.not_after is None
        or row.not_before is None
    ):
        expires = await expiry_of(session, lineage_id=order.lineage_id, fingerprint=order.old_fingerprint)
        return (expires - now if expires is not None else None), None
    return row.not_after - now, row.not_after - row.not_before


async def try_lock_lineage(tx: Transaction, lineage_id: str) -> bool:
    """Begin to decide on a lineage, unless another transaction does already: nobody is waited for with rows in hand."""
    if tx.session.get_bind().dialect.name != "postgresql":
        return True
    key = sa.func.hashtextextended(f"renewal {lineage_id}", 0)
    return bool(await tx.session.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(key))))
