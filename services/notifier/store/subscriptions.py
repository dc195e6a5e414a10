"""Events that are kept for consumers, and who has subscribed to what, and has got how far."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from services.notifier.domain.subscriptions import Log, State, Way
from services.notifier.store.pages import page
from services.notifier.store.tables import SUBJECTS, Table
from shared.store import Instant, Json, Sealed, Transaction, insert, write_rows
from shared.store.scopes import Scope, within

SETTLING = timedelta(seconds=10)
"""How long an event waits for the groups of its lineage to be told, where a subscription is about some groups."""
_ONE = 1


class KeptEvent(Table, table=True):
    """An event as it came, in the order in which it came."""

    __tablename__ = "kept_events"

    number: int = Field(primary_key=True, sa_type=sa.BigInteger, sa_column_kwargs={"autoincrement": False})
    event_id: str = Field(max_length=36, unique=True)
    type: str = Field(max_length=100)
    groups: list[str] = Field(sa_type=Json)
    """Those that it names itself."""
    lineage_id: str | None = Field(default=None, max_length=100)
    kept_at: datetime = Field(sa_type=Instant, index=True)
    body: str = Field(sa_type=sa.Text)
    """The CloudEvent, as it came."""


class KeptHead(Table, table=True):
    """The number of the last event that was kept. Its row is what those who keep events wait for one another at."""

    __tablename__ = "kept_head"

    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    number: int = Field(sa_type=sa.BigInteger)


class Subscription(Table, table=True):
    """What a consumer wants, how it gets it, and how far it has got; the lease says which process is at it."""

    __tablename__ = "subscriptions"
    __table_args__ = (sa.Index("ix_subscriptions_due", "state", "next_attempt_at"),)

    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(max_length=200, unique=True)
    log: str = Field(max_length=20)
    way: str = Field(max_length=20)
    types: list[str] = Field(sa_type=Json)
    """Empty: all."""
    names: list[str] = Field(sa_type=Json)
    groups: list[str] = Field(sa_type=Json)
    """It is told of what is in one of them only; where there are none, of everything."""
    options: dict[str, Any] = Field(sa_type=Json)
    secrets: bytes = Field(sa_type=Sealed)
    """What messages are signed with, sealed; empty where nothing is signed."""
    state: str = Field(max_length=20)
    position: int = Field(sa_type=sa.BigInteger)
    """The number of the last that was handed over."""
    failures: int = 0
    last_error: str | None = Field(default=None, sa_type=sa.Text)
    next_attempt_at: datetime = Field(sa_type=Instant)
    lease_until: datetime | None = Field(default=None, sa_type=Instant)
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)


async def keep_events(tx: Transaction, rows: Sequence[dict[str, Any]]) -> int:
    """Keep events that are not kept yet, numbered on and on; return how many those were."""
    await tx.session.execute(insert(tx, KeptHead).values(id=_ONE, number=0).on_conflict_do_nothing())
    held = sa.select(col(KeptHead.number)).where(col(KeptHead.id) == _ONE).with_for_update()
    last = int(await tx.session.scalar(held) or 0)
    ids = [row["event_id"] for row in rows]
    query = sa.select(col(KeptEvent.event_id)).where(col(KeptEvent.event_id).in_(ids))
    known = set((await tx.session.scalars(query)).all())
    new = [row for row in rows if row["event_id"] not in known]
    numbered = [{**row, "number": number} for number, row in enumerate(new, start=last + 1)]
    await write_rows(tx, sa.insert(KeptEvent), numbered)
    head = sa.update(KeptHead).where(col(KeptHead.id) == _ONE).values(number=last + len(new))
    await tx.session.execute(head)
    return len(new)


async def kept_until(session: AsyncSession) -> int:
    """Return the number of the last event that was kept."""
    return int(await session.scalar(sa.select(col(KeptHead.number))) or 0)


async def kept_before(session: AsyncSession, at: datetime) -> int:
    """Return the number of the last event that was kept before an instant, of those that are still there."""
    oldest = sa.select(sa.func.min(KeptEvent.number)).where(col(KeptEvent.kept_at) >= at)
    first = await session.scalar(oldest)
    return int(first) - 1 if first is not None else await kept_until(session)


async def events_for(
    session: AsyncSession,
    *,
    groups: Collection[str],
    types: Collection[str] = (),
    after: int,
    limit: int,
    now: datetime,
) -> tuple[Sequence[KeptEvent], int]:
    """Return events of some types and groups, of all where none are said, and the number up to which all were looked at."""
    number = col(KeptEvent.number)
    query = sa.select(KeptEvent).where(number > after)
    until = await kept_until(session)
    if groups:
        until = min(until, await _undecided(session, after=after, now=now) or until)
        about = SUBJECTS.within(col(KeptEvent.lineage_id), groups)
        query = query.where(sa.or_(within(KeptEvent.groups, groups), about))
    if types:
        query = query.where(col(KeptEvent.type).in_(types))
    found = (await session.scalars(query.where(number <= until).order_by(number).limit(limit))).all()
    return found, found[-1].number if len(found) == limit else until


async def _undecided(session: AsyncSession, *, after: int, now: datetime) -> int | None:
    """Return up to which number it is known whose events are: a lineage's groups may be told after it."""
    is_new = col(KeptEvent.kept_at) > now - SETTLING
    is_unknown = sa.and_(
        col(KeptEvent.lineage_id).is_not(None), sa.not_(SUBJECTS.knows(col(KeptEvent.lineage_id)))
    )
    query = sa.select(sa.func.min(KeptEvent.number)).where(col(KeptEvent.number) > after, is_new, is_unknown)
    first = await session.scalar(query)
    return int(first) - 1 if first is not None else None


async def oldest_kept(session: AsyncSession) -> int | None:
    """Return the number of the oldest event that is still there."""
    found: int | None = await session.scalar(sa.select(sa.func.min(KeptEvent.number)))
    return found


async def forget_events(tx: Transaction, *, before: datetime) -> None:
    """Let go of events that were kept for long enough."""
    await tx.session.execute(sa.delete(KeptEvent).where(col(KeptEvent.kept_at) < before))


async def subscriptions_page(
    session: AsyncSession, log: Log, *, after: str | None, limit: int, scope: Scope
) -> Sequence[Subscription]:
    """Return a page of the subscriptions of a scope."""
    query = sa.select(Subscription).where(col(Subscription.log) == log, within(Subscription.groups, scope))
    found: Sequence[Subscription] = await page(session, query, col(Subscription.id), after=after, limit=limit)
    return found


def _due(now: datetime) -> list[sa.ColumnElement[bool]]:
    lease = col(Subscription.lease_until)
    return [
        col(Subscription.state) == State.ACTIVE,
        col(Subscription.way) != Way.POLL,
        col(Subscription.next_attempt_at) <= now,
        sa.or_(lease.is_(None), lease < now),
    ]


async def is_subscription_due(session: AsyncSession, *, now: datetime) -> bool:
    """Return whether something may be handed over."""
    return await session.scalar(sa.select(col(Subscription.id)).where(*_due(now)).limit(1)) is not None


async def claim_subscription(tx: Transaction, *, until: datetime, now: datetime) -> Subscription | None:
    """Return a subscription that is due, leased, the longest due first."""
    query = sa.select(Subscription).where(*_due(now)).order_by(col(Subscription.next_attempt_at)).limit(1)
    row = (await tx.session.scalars(query.with_for_update(skip_locked=True))).first()
    if row is not None:
        row.lease_until = until
    return row


async def end_subscription_leases(tx: Transaction) -> None:
    """Let everything be taken up at once: the process that held it has died."""
    await tx.session.execute(sa.update(Subscription).values(lease_until=None))


async def wake_subscriptions(tx: Transaction, log: Log, *, now: datetime) -> None:
    """Let what follows a log be looked at now, unless it waits for its consumer to get well."""
    is_well = (col(Subscription.failures) == 0, col(Subscription.next_attempt_at) > now)
    query = sa.update(Subscription).where(col(Subscription.log) == log, *is_well)
    await tx.session.execute(query.values(next_attempt_at=now))
