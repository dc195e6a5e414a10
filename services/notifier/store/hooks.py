"""Hooks that outside systems pass decisions on by, and the messages that came by them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from services.notifier.store.pages import page
from services.notifier.store.tables import Table
from shared.store import Instant, Json, Sealed, Transaction, insert
from shared.store.scopes import Scope, within


class ApprovalHook(Table, table=True):
    """Where an outside system tells what people have decided there."""

    __tablename__ = "approval_hooks"

    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(max_length=200, unique=True)
    secrets: bytes = Field(sa_type=Sealed)
    """The key that messages are signed with, sealed."""
    approvers: list[dict[str, Any]] = Field(sa_type=Json)
    """Who people are here, by what they are called there."""
    groups: list[str] = Field(default_factory=list, sa_type=Json)
    """It speaks for people in these; where there are none, in any."""
    channel_id: str | None = Field(default=None, max_length=36, index=True)
    """It passes on what is decided in the tickets of this channel."""
    channel_seal: str | None = Field(default=None, max_length=64)
    """What the channel was like when an administrator said so: of another one nothing is passed on."""
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)


class HookMessage(Table, table=True):
    """A message that has come: once is enough."""

    __tablename__ = "hook_messages"

    hook_id: str = Field(primary_key=True, max_length=36)
    message_id: str = Field(primary_key=True, max_length=255)
    seen_at: datetime = Field(sa_type=Instant, index=True)


async def hooks_page(
    session: AsyncSession, *, after: str | None, limit: int, scope: Scope
) -> Sequence[ApprovalHook]:
    """Return a page of the hooks of a scope."""
    query = sa.select(ApprovalHook).where(within(ApprovalHook.groups, scope))
    found: Sequence[ApprovalHook] = await page(session, query, col(ApprovalHook.id), after=after, limit=limit)
    return found


async def is_first(
    tx: Transaction, *, hook_id: str, message_id: str, forget: datetime, now: datetime
) -> bool:
    """Note a message and return whether it has not come before; those seen before `forget` are forgotten."""
    await tx.session.execute(sa.delete(HookMessage).where(col(HookMessage.seen_at) < forget))
    row = {"hook_id": hook_id, "message_id": message_id, "seen_at": now}
    fresh = insert(tx, HookMessage).values(row).on_conflict_do_nothing()
    return (await tx.session.execute(fresh.returning(HookMessage.message_id))).first() is not None
