"""What outside systems have of alerts, and when to look at it next."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from services.notifier.domain.alerts import AlertState
from services.notifier.domain.tickets import Ticket, TicketState
from services.notifier.store.alerts import alerts_within
from services.notifier.store.hooks import ApprovalHook
from services.notifier.store.tables import Alert, Channel, Table
from shared.store import Instant, Json, Transaction, insert
from shared.store.parameters import among
from shared.store.scopes import Scope, within


class KeptTicket(Table, table=True):
    """What is kept of one alert beyond one channel."""

    __tablename__ = "tickets"

    alert_id: str = Field(primary_key=True, max_length=36)
    channel_id: str = Field(primary_key=True, max_length=36, index=True)
    key: str = Field(max_length=100)
    ref: str = Field(max_length=200)
    link: str | None = Field(default=None, sa_type=sa.Text)
    state: str = Field(max_length=20)
    words: str | None = Field(default=None, sa_type=sa.Text)
    """What the outside system calls that state, once it was looked at."""
    digest: str | None = Field(default=None, max_length=64)
    """What people there decide on, where the alert asks for a decision: it was told with the ticket."""
    passed: list[str] = Field(default_factory=list, sa_type=Json)
    """Decisions that were passed on, or could not be."""
    opened_at: datetime = Field(sa_type=Instant)
    updated_at: datetime = Field(sa_type=Instant)
    next_look_at: datetime | None = Field(default=None, sa_type=Instant, index=True)
    """Null: it is looked at no more."""

    def told(self) -> Ticket:
        """Return it as channels know it."""
        return Ticket(key=self.key, ref=self.ref, link=self.link, state=TicketState(self.state))


async def tickets_of(session: AsyncSession, alert_ids: Collection[str]) -> dict[tuple[str, str], Ticket]:
    """Return what is kept of alerts beyond channels, by the ids of both."""
    query = sa.select(KeptTicket).where(among(session, col(KeptTicket.alert_id), alert_ids))
    return {(row.alert_id, row.channel_id): row.told() for row in (await session.scalars(query)).all()}


async def keep_ticket(
    tx: Transaction,
    ticket: Ticket,
    *,
    alert_id: str,
    channel_id: str,
    digest: str | None,
    is_looked_at: bool,
    now: datetime,
) -> None:
    """Keep a ticket as it is now; what it was opened for stays."""
    next_look_at = now if is_looked_at and ticket.state is TicketState.OPEN else None
    named = {"key": ticket.key, "ref": ticket.ref, "link": ticket.link, "state": ticket.state}
    seen = {**named, "updated_at": now, "next_look_at": next_look_at}
    identity = {"alert_id": alert_id, "channel_id": channel_id}
    first: dict[str, Any] = {**identity, "digest": digest, "passed": [], "opened_at": now, **seen}
    row = insert(tx, KeptTicket).values(first)
    await tx.session.execute(row.on_conflict_do_update(index_elements=list(identity), set_=seen))


async def claim_ticket(tx: Transaction, *, every: timedelta, now: datetime) -> KeptTicket | None:
    """Take the ticket of an open alert that was not looked at for the longest time, if it is due."""
    query = (
        sa.select(KeptTicket)
        .join(Alert, col(Alert.id) == col(KeptTicket.alert_id))
        .join(Channel, col(Channel.id) == col(KeptTicket.channel_id))
        .where(
            col(KeptTicket.next_look_at) <= now,
            col(Alert.state) == AlertState.OPEN,
            col(Channel.enabled),
        )
        .order_by(col(KeptTicket.next_look_at), col(KeptTicket.alert_id))
        .limit(1)
    )
    found: KeptTicket | None = await tx.session.scalar(query.with_for_update(of=KeptTicket, skip_locked=True))
    if found is not None:
        found.next_look_at = now + every
    return found


async def is_any_ticket_due(session: AsyncSession, now: datetime) -> bool:
    """Return whether there may be one to claim, without locking anything."""
    query = sa.select(col(KeptTicket.alert_id)).where(col(KeptTicket.next_look_at) <= now).limit(1)
    return await session.scalar(query) is not None


async def tickets_page(
    session: AsyncSession, *, only: Mapping[str, str], after: Sequence[str], limit: int, scope: Scope
) -> Sequence[KeptTicket]:
    """Return up to `limit + 1` tickets of a scope whose columns have these values, the newest alert's first."""
    identity = (col(KeptTicket.alert_id), col(KeptTicket.channel_id))
    query = sa.select(KeptTicket).filter_by(**only).where(_within(scope))
    if len(after) == len(identity):
        query = query.where(sa.tuple_(*identity) < sa.tuple_(*after))
    query = query.order_by(*(column.desc() for column in identity)).limit(limit + 1)
    return (await session.scalars(query)).all()


def _within(scope: Scope) -> sa.ColumnElement[bool]:
    """Return the condition that both alert and channel are in a scope: it says who was told what."""
    if scope is None:
        return sa.true()
    alert = sa.exists().where(col(Alert.id) == col(KeptTicket.alert_id), alerts_within(scope))
    channel = sa.exists().where(col(Channel.id) == col(KeptTicket.channel_id), within(Channel.groups, scope))
    return sa.and_(alert, channel)


async def hooks_of_channel(session: AsyncSession, channel_id: str) -> Sequence[ApprovalHook]:
    """Return the hooks that pass on what is decided in the tickets of a channel."""
    query = sa.select(ApprovalHook).where(col(ApprovalHook.channel_id) == channel_id)
    return (await session.scalars(query.order_by(col(ApprovalHook.id)))).all()
