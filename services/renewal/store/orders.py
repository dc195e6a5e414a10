"""Orders: which is open, which is due and whose, and what was done for them."""

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from services.renewal.domain.orders import OPEN, State
from services.renewal.store.tables import KeyRelease, Notice, Order, Step
from shared.store import Transaction


async def lock_lineage(tx: Transaction, lineage_id: str) -> None:
    """Let one transaction at a time decide on a lineage: a notice and an enrolment may come together."""
    if tx.session.get_bind().dialect.name == "postgresql":
        key = sa.func.hashtextextended(f"renewal {lineage_id}", 0)
        await tx.session.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


async def lock_lineages(tx: Transaction, lineages: Sequence[str]) -> None:
    """Let one transaction at a time decide on these lineages; everybody takes them in the same order."""
    if tx.session.get_bind().dialect.name == "postgresql" and lineages:
        each = sa.func.unnest(sa.cast([f"renewal {one}" for one in sorted(lineages)], ARRAY(sa.Text)))
        given = sa.select(each.label("one")).subquery()
        key = sa.func.hashtextextended(given.c.one, 0)
        await tx.session.execute(sa.select(sa.func.pg_advisory_xact_lock(key)).select_from(given))


async def open_order(session: AsyncSession, lineage_id: str) -> Order | None:
    """Return the lineage's order that is not at its end."""
    query = sa.select(Order).where(col(Order.lineage_id) == lineage_id, col(Order.state).in_(OPEN))
    found: Order | None = await session.scalar(query)
    return found


async def latest_order(session: AsyncSession, **having: str) -> Order | None:
    """Return the newest order with these values."""
    query = sa.select(Order).filter_by(**having).order_by(col(Order.id).desc()).limit(1)
    found: Order | None = await session.scalar(query)
    return found


async def expiry_of(session: AsyncSession, *, lineage_id: str, fingerprint: str | None) -> datetime | None:
    """Return when a lineage's certificate expires, where inventory or an order of ours has said so."""
    notice = await session.get(Notice, lineage_id)
    if notice is not None and notice.fingerprint == fingerprint:
        return notice.not_after
    if fingerprint is None:
        return None
    order = await latest_order(session, lineage_id=lineage_id, fingerprint=fingerprint)
    return order.not_after if order is not None else None


async def certificate_of(session: AsyncSession, *, lineage_id: str, fingerprint: str | None) -> Order | None:
    """Return the order that a lineage's certificate came by, where it was one of ours."""
    if fingerprint is None:
        return None
    return await latest_order(session, lineage_id=lineage_id, fingerprint=fingerprint)


async def last_key(session: AsyncSession, *, lineage_id: str) -> Order | None:
    """Return the newest order of a lineage that was renewed and whose key is still here."""
    query = sa.select(Order).where(
        col(Order.lineage_id) == lineage_id,
        col(Order.state) == State.RENEWED,
        col(Order.private_key).is_not(None),
    )
    found: Order | None = await session.scalar(query.order_by(col(Order.id).desc()).limit(1))
    return found


async def renewed_unseen(session: AsyncSession, *, lineage_id: str, since: datetime) -> int:
    """Return how often a lineage was renewed since then without that being seen in place."""
    query = sa.select(sa.func.count()).where(
        col(Order.lineage_id) == lineage_id,
        col(Order.state) == State.RENEWED,
        col(Order.old_fingerprint).is_not(None),
        col(Order.renewed_at) > since,
        col(Order.observed_at).is_(None),
    )
    return await session.scalar(query) or 0


async def chains_of(session: AsyncSession, *, lineage_id: str) -> Sequence[str]:
    """Return the newest certificates, DER in base64, that a lineage has got by orders of ours."""
    query = sa.select(col(Order.chain)).where(
        col(Order.lineage_id) == lineage_id, col(Order.state) == State.RENEWED
    )
    rows = await session.scalars(query.order_by(col(Order.id).desc()).limit(20))
    return [chain[0] for chain in rows if chain]


def _due(now: datetime) -> sa.Select[str]:
    is_free = sa.or_(col(Order.lease).is_(None), col(Order.lease_until) < now)
    return (
        sa.select(col(Order.id))
        .where(col(Order.next_attempt_at) <= now, col(Order.state).in_(OPEN), is_free)
        .order_by(col(Order.next_attempt_at), col(Order.id))
        .limit(1)
    )


async def is_any_due(session: AsyncSession, now: datetime) -> bool:
    """Return whether there is something to claim, without locking anything."""
    return await session.scalar(_due(now)) is not None


async def claim(tx: Transaction, *, lease: str, until: datetime, now: datetime) -> Order | None:
    """Take the lease on a due order and return it, or None."""
    order_id = await tx.session.scalar(_due(now).with_for_update(skip_locked=True))
    if order_id is None:
        return None
    order = await tx.session.get_one(Order, order_id)
    order.lease, order.lease_until = lease, until
    return order


_IS_FRESH = (
    col(Order.csr).is_(None),
    col(Order.given_csr).is_(None),
    col(Order.held_by).is_(None),
    col(Order.placed_at).is_(None),
)


async def claim_alike(tx: Transaction, order: Order, *, until: datetime, now: datetime, limit: int) -> int:
    """Take other due orders of the same profile on the same lease, fresh ones only; return how many."""
    alike = (
        _due(now)
        .where(
            col(Order.profile_id) == order.profile_id,
            col(Order.authority_id) == order.authority_id,
            *_IS_FRESH,
            col(Order.id) != order.id,
        )
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = (await tx.session.scalars(alike)).all()
    if ids:
        taken = sa.update(Order).where(col(Order.id).in_(ids))
        await tx.session.execute(
            taken.values(lease=order.lease, lease_until=until, state=State.ISSUING),
            execution_options={"synchronize_session": False},
        )
    return len(ids)


async def orders_of_lease(session: AsyncSession, *, lease: str) -> Sequence[Order]:
    """Return the orders of a lease."""
    query = sa.select(Order).where(col(Order.lease) == lease)
    return (await session.scalars(query.order_by(col(Order.id)))).all()


async def held_orders(tx: Transaction, *, lease: str) -> Sequence[Order]:
    """Return the orders of a lease, for changing."""
    query = sa.select(Order).where(col(Order.lease) == lease).order_by(col(Order.id))
    return (await tx.session.scalars(query.with_for_update())).all()


async def extend_lease(tx: Transaction, *, lease: str, until: datetime) -> bool:
    """Keep the lease for longer; return False where it is no longer ours."""
    extended = sa.update(Order).where(col(Order.lease) == lease).values(lease_until=until)
    return (await tx.session.execute(extended.returning(col(Order.id)))).first() is not None


class LeaseLost(Exception):
    """Another process works on the order now: whatever we know of it is no longer true."""


async def held(tx: Transaction, order_id: str, *, lease: str) -> Order:
    """Return an order for changing. Raises `LeaseLost` where it is not ours any more."""
    query = sa.select(Order).where(col(Order.id) == order_id, col(Order.lease) == lease).with_for_update()
    found: Order | None = await tx.session.scalar(query)
    if found is None:
        raise LeaseLost
    return found


async def end_lease(tx: Transaction, *, lease: str) -> None:
    """Let others work on the order."""
    ended = sa.update(Order).where(col(Order.lease) == lease).values(lease=None, lease_until=None)
    await tx.session.execute(ended)


async def end_all_leases(tx: Transaction) -> None:
    """Let go of every order: right only where no other process can be at work."""
    await tx.session.execute(sa.update(Order).values(lease=None, lease_until=None))


async def steps_of(session: AsyncSession, order_id: str) -> Sequence[Step]:
    """Return what was done, oldest first."""
    query = sa.select(Step).where(col(Step.order_id) == order_id).order_by(col(Step.at), col(Step.id))
    return (await session.scalars(query)).all()


async def mark_observed(
    tx: Transaction, *, lineage_id: str, fingerprint: str, at: datetime
) -> Sequence[datetime]:
    """Remember that a renewed certificate was seen in place; return when it was ordered, where this is the first time."""
    of_it = (col(Order.lineage_id) == lineage_id, col(Order.fingerprint) == fingerprint)
    first = sa.update(Order).where(*of_it, col(Order.observed_at).is_(None)).values(observed_at=at)
    return (await tx.session.scalars(first.returning(col(Order.created_at)))).all()


async def orders_of_old_keys(tx: Transaction, *, seen_before: datetime, limit: int) -> Sequence[Order]:
    """Return orders that still have a key, and whose lineage's newer certificate was seen in place before then."""
    newer = aliased(Order)
    is_replaced = (
        sa.select(col(newer.id))
        .where(
            col(newer.lineage_id) == col(Order.lineage_id),
            col(newer.renewed_at) > col(Order.renewed_at),
            col(newer.observed_at) <= seen_before,
        )
        .exists()
    )
    has_key = sa.or_(col(Order.private_key).is_not(None), col(Order.token_key).is_not(None))
    query = sa.select(Order).where(col(Order.state) == State.RENEWED, has_key, is_replaced)
    return (await tx.session.scalars(query.limit(limit).with_for_update(skip_locked=True, of=Order))).all()


async def token_keys(session: AsyncSession, names: Collection[str]) -> frozenset[str]:
    """Return those of the names that keys of orders have in the token."""
    query = sa.select(col(Order.token_key)).where(col(Order.token_key).in_(names))
    return frozenset(name for name in await session.scalars(query) if name is not None)


def finish(order: Order, *, state: State) -> None:
    """Let an order be over: nothing takes it up again."""
    order.state, order.next_attempt_at, order.progress = state, None, None


async def first_release(session: AsyncSession, *, order_id: str, deployment_id: str) -> KeyRelease | None:
    """Return the release that a deployment got first."""
    query = sa.select(KeyRelease).filter_by(order_id=order_id, deployment_id=deployment_id)
    found: KeyRelease | None = await session.scalar(query.order_by(col(KeyRelease.id)).limit(1))
    return found
