"""Keys that are made on targets: which is due and whose, and which are not needed any more."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.provisioner.domain.key_requests import KeyState
from services.provisioner.store.tables import KeyRequest, table_of
from shared.store import Instant, Transaction, UnitOfWork
from shared.store.reader import Fixed

_ALIVE = (KeyState.WANTED, KeyState.BROUGHT)


def _due(now: datetime) -> sa.Select[str]:
    is_free = sa.or_(col(KeyRequest.lease).is_(None), col(KeyRequest.lease_until) < now)
    return (
        sa.select(col(KeyRequest.order_id))
        .where(col(KeyRequest.next_attempt_at) <= now, is_free)
        .order_by(col(KeyRequest.next_attempt_at), col(KeyRequest.order_id))
        .limit(1)
    )


async def is_any_key_due(session: AsyncSession, now: datetime) -> bool:
    """Return whether there is something to claim, without locking anything."""
    return await session.scalar(_due(now)) is not None


async def claim_key(tx: Transaction, *, lease: str, until: datetime, now: datetime) -> KeyRequest | None:
    """Take the lease on a due request for a key and return it, or None."""
    order_id = await tx.session.scalar(_due(now).with_for_update(skip_locked=True))
    if order_id is None:
        return None
    row = await tx.session.get_one(KeyRequest, order_id)
    row.lease, row.lease_until = lease, until
    return row


async def held_key(tx: Transaction, order_id: str, *, lease: str) -> KeyRequest | None:
    """Return a request for changing, or None where another process works on it now."""
    query = sa.select(KeyRequest).where(col(KeyRequest.order_id) == order_id, col(KeyRequest.lease) == lease)
    found: KeyRequest | None = await tx.session.scalar(query.with_for_update())
    return found


async def end_all_key_leases(tx: Transaction) -> None:
    """Let go of every request: right only where no other process can be at work."""
    await tx.session.execute(sa.update(KeyRequest).values(lease=None, lease_until=None))


async def clear_keys(tx: Transaction, *, binding_id: str, now: datetime) -> None:
    """Have all keys removed that wait for the certificates of a binding."""
    waits = (col(KeyRequest.binding_id) == binding_id, col(KeyRequest.state) == KeyState.BROUGHT)
    await tx.session.execute(sa.update(KeyRequest).where(*waits).values(**_CLEARED, next_attempt_at=now))


async def clear_older_keys(unit: UnitOfWork, *, binding_id: str, older_than: datetime, now: datetime) -> None:
    """Have those keys removed that were asked for, for certificates of a binding, before a time."""
    await unit.reader.values(_CLEAR_OLDER, of_binding=binding_id, before=older_than, now=now)


async def key_is_bound(unit: UnitOfWork, *, order_id: str, now: datetime) -> None:
    """Remember that the key of an order waits no more: it is in place."""
    await unit.reader.values(_BOUND, of_order=order_id, now=now)


_KEYS = table_of(KeyRequest)
_CLEARED: Mapping[str, Any] = {"state": KeyState.CLEARING, "attempts": 0}
_NOW = sa.bindparam("now", type_=Instant())
_CLEAR_OLDER = Fixed(
    sa.update(_KEYS)
    .where(
        _KEYS.c.binding_id == sa.bindparam("of_binding", type_=sa.String()),
        sa.or_(*(_KEYS.c.state == state for state in _ALIVE)),
        _KEYS.c.told_at < sa.bindparam("before", type_=Instant()),
    )
    .values(**_CLEARED, next_attempt_at=_NOW)
    .returning(_KEYS.c.order_id)
)
_BOUND = Fixed(
    sa.update(_KEYS)
    .where(_KEYS.c.order_id == sa.bindparam("of_order", type_=sa.String()))
    .values(state=KeyState.OVER, next_attempt_at=sa.null(), updated_at=_NOW)
    .returning(_KEYS.c.order_id)
)
