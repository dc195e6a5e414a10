"""What renewal remembers: authorities, profiles, notices, enrolments, orders, and who was given which key."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased, registry
from sqlmodel import Field, SQLModel, col

from services.renewal.domain.orders import OPEN, State
from shared.groups import EVERYBODY
from shared.store import Instant, Json, Transaction, insert
from shared.store.scopes import Scope, ToldGroups, within

_IS_OPEN = sa.text("state IN ('pending', 'issuing', 'waiting')")


class Table(SQLModel, registry=registry()):
    """What all tables of this service belong to."""


LINEAGES = ToldGroups(Table.metadata)
"""The groups of lineages: orders and enrolments are in them."""


class Authority(Table, table=True):
    """Somebody who issues."""

    __tablename__ = "authorities"

    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(max_length=200, unique=True)
    kind: str = Field(max_length=50)
    options: dict[str, Any] = Field(sa_type=Json)
    secrets: bytes
    """Sealed: what we were given."""
    private: bytes
    """Sealed: what we made, such as the root's or the account's key."""
    roots: list[str] = Field(sa_type=Json)
    """DER in base64."""
    groups: list[str] = Field(default_factory=list, sa_type=Json)
    """`*` among them is everybody."""
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)


class Profile(Table, table=True):
    """On which terms certificates are ordered, and for which names."""

    __tablename__ = "profiles"

    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(max_length=200, unique=True)
    authority_id: str = Field(max_length=36, foreign_key="authorities.id")
    key_type: str = Field(max_length=20)
    lifetime: int
    """Seconds."""
    allowed_names: list[str] = Field(sa_type=Json)
    challenge: str | None = Field(default=None, max_length=20)
    groups: list[str] = Field(default_factory=list, sa_type=Json)
    """`*` among them is everybody."""
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)


class Notice(Table, table=True):
    """The last that inventory said of a lineage: which certificate runs out, or that it is replaced."""

    __tablename__ = "notices"

    lineage_id: str = Field(primary_key=True, max_length=100)
    fingerprint: str = Field(max_length=64)
    names: list[str] = Field(sa_type=Json)
    not_after: datetime = Field(sa_type=Instant)
    urgency: str = Field(max_length=20)
    is_open: bool
    told_at: datetime = Field(sa_type=Instant)


class Enrolment(Table, table=True):
    """A lineage that is renewed by itself."""

    __tablename__ = "enrolments"

    lineage_id: str = Field(primary_key=True, max_length=100)
    profile_id: str = Field(max_length=36, foreign_key="profiles.id")
    names: list[str] | None = Field(default=None, sa_type=Json)
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)
    updated_at: datetime = Field(sa_type=Instant)


class Order(Table, table=True):
    """One certificate that is to be obtained; the lease says which process works on it now."""

    __tablename__ = "orders"
    __table_args__ = (
        sa.Index(
            "ux_orders_open_of_lineage",
            "lineage_id",
            unique=True,
            sqlite_where=_IS_OPEN,
            postgresql_where=_IS_OPEN,
        ),
        sa.Index("ix_orders_due", "next_attempt_at"),
    )

    id: str = Field(primary_key=True, max_length=36)
    lineage_id: str = Field(max_length=100, index=True)
    profile_id: str = Field(max_length=36, foreign_key="profiles.id")
    authority_id: str = Field(max_length=36, foreign_key="authorities.id")
    authority: str = Field(max_length=200)
    """The authority's name."""
    names: list[str] = Field(sa_type=Json)
    groups: list[str] = Field(default_factory=list, sa_type=Json)
    """Those that its lineage was begun in by this order; of a lineage that was there before, none."""
    state: str = Field(max_length=20, index=True)
    old_fingerprint: str | None = Field(default=None, max_length=64)
    private_key: bytes | None = None
    """Sealed PKCS#8 in PEM; empty before it is made, and when nobody needs it any more."""
    csr: bytes | None = None
    progress: bytes | None = None
    """Sealed: where the authority's steps go on."""
    fingerprint: str | None = Field(default=None, max_length=64, index=True)
    chain: list[str] | None = Field(default=None, sa_type=Json)
    """DER in base64, leaf first."""
    not_before: datetime | None = Field(default=None, sa_type=Instant)
    not_after: datetime | None = Field(default=None, sa_type=Instant)
    attempts: int = 0
    """How many attempts have failed."""
    last_error: str | None = Field(default=None, sa_type=sa.Text)
    next_step: str | None = Field(default=None, sa_type=sa.Text)
    next_attempt_at: datetime | None = Field(default=None, sa_type=Instant)
    """When a worker takes it up; empty where no worker shall."""
    lease: str | None = Field(default=None, max_length=36, index=True)
    lease_until: datetime | None = Field(default=None, sa_type=Instant)
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)
    renewed_at: datetime | None = Field(default=None, sa_type=Instant)
    observed_at: datetime | None = Field(default=None, sa_type=Instant)
    """When the new certificate was seen in every place of the old one."""


class Step(Table, table=True):
    """One thing that was done for an order, or that failed."""

    __tablename__ = "order_steps"

    id: str = Field(primary_key=True, max_length=36)
    order_id: str = Field(max_length=36, foreign_key="orders.id", index=True)
    at: datetime = Field(sa_type=Instant)
    step: str = Field(max_length=50)
    text: str = Field(sa_type=sa.Text)


class KeyRelease(Table, table=True):
    """A private key was given to somebody, sealed to them: the audit record."""

    __tablename__ = "key_releases"

    id: str = Field(primary_key=True, max_length=36)
    order_id: str = Field(max_length=36, foreign_key="orders.id", index=True)
    deployment_id: str = Field(max_length=100, index=True)
    principal: str = Field(max_length=100)
    released_at: datetime = Field(sa_type=Instant)
    trace_id: str = Field(max_length=32)
    is_repeat: bool
    """Whether the same deployment had got it before."""


class HttpChallenge(Table, table=True):
    """What the http-01 listener answers."""

    __tablename__ = "http_challenges"

    token: str = Field(primary_key=True, max_length=200)
    answer: str = Field(max_length=400)
    created_at: datetime = Field(sa_type=Instant)


async def newest(
    session: AsyncSession,
    table: type[Any],
    *,
    after: str | None,
    limit: int,
    scope: Scope,
    **having: str | None,
) -> Sequence[Any]:
    """Return up to `limit + 1` rows of a scope with these values, newest first; None is no condition."""
    asked = {name: value for name, value in having.items() if value is not None}
    query = sa.select(table).filter_by(**asked).where(_in_scope(table, scope))
    query = query.order_by(table.id.desc()).limit(limit + 1)
    if after is not None:
        query = query.where(table.id < after)
    return (await session.scalars(query)).all()


def _in_scope(table: type[Any], scope: Scope) -> sa.ColumnElement[bool]:
    if scope is None:
        return sa.true()
    if table in (Authority, Profile):
        return within(table.groups, {*scope, EVERYBODY})
    if table is KeyRelease:
        its_order = sa.select(col(Order.id)).where(col(Order.id) == col(KeyRelease.order_id))
        return its_order.where(_in_scope(Order, scope)).exists()
    return LINEAGES.within(table.lineage_id, scope)


async def enrolments(
    session: AsyncSession, *, after: str | None, limit: int, scope: Scope
) -> Sequence[Enrolment]:
    """Return up to `limit + 1` enrolments of a scope in the order of their lineages."""
    query = sa.select(Enrolment).where(_in_scope(Enrolment, scope))
    query = query.order_by(col(Enrolment.lineage_id)).limit(limit + 1)
    if after is not None:
        query = query.where(col(Enrolment.lineage_id) > after)
    return (await session.scalars(query)).all()


async def profile_named(session: AsyncSession, name: str) -> Profile | None:
    """Return the profile of this name."""
    found: Profile | None = await session.scalar(sa.select(Profile).where(col(Profile.name) == name))
    return found


async def authority_named(session: AsyncSession, name: str) -> Authority | None:
    """Return the authority of this name."""
    found: Authority | None = await session.scalar(sa.select(Authority).where(col(Authority.name) == name))
    return found


async def names_of(session: AsyncSession, table: type[Any], ids: set[str]) -> dict[str, str]:
    """Return the names of rows by their ids."""
    rows = await session.execute(sa.select(table.id, table.name).where(table.id.in_(ids)))
    return {row.id: row.name for row in rows}


async def lock_lineage(tx: Transaction, lineage_id: str) -> None:
    """Let one transaction at a time decide on a lineage: a notice and an enrolment may come together."""
    if tx.session.get_bind().dialect.name == "postgresql":
        key = sa.func.hashtextextended(f"renewal {lineage_id}", 0)
        await tx.session.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


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


async def mark_observed(tx: Transaction, *, lineage_id: str, fingerprint: str, at: datetime) -> None:
    """Remember that a renewed certificate was seen in place."""
    of_it = (col(Order.lineage_id) == lineage_id, col(Order.fingerprint) == fingerprint)
    first = sa.update(Order).where(*of_it, col(Order.observed_at).is_(None)).values(observed_at=at)
    await tx.session.execute(first)


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
    query = sa.select(Order).where(
        col(Order.state) == State.RENEWED, col(Order.private_key).is_not(None), is_replaced
    )
    return (await tx.session.scalars(query.limit(limit).with_for_update(skip_locked=True, of=Order))).all()


async def first_release(session: AsyncSession, *, order_id: str, deployment_id: str) -> KeyRelease | None:
    """Return the release that a deployment got first."""
    query = sa.select(KeyRelease).filter_by(order_id=order_id, deployment_id=deployment_id)
    found: KeyRelease | None = await session.scalar(query.order_by(col(KeyRelease.id)).limit(1))
    return found


async def put_challenge(tx: Transaction, challenge: HttpChallenge) -> None:
    """Let the listener answer for a token; forget what was left over days ago."""
    old = col(HttpChallenge.created_at) < challenge.created_at - timedelta(days=2)
    await tx.session.execute(sa.delete(HttpChallenge).where(old))
    added = insert(tx, HttpChallenge).values(challenge.model_dump())
    await tx.session.execute(
        added.on_conflict_do_update(index_elements=["token"], set_={"answer": challenge.answer})
    )


async def remove_challenge(tx: Transaction, token: str) -> None:
    """Let the listener answer no more."""
    await tx.session.execute(sa.delete(HttpChallenge).where(col(HttpChallenge.token) == token))


def finish(order: Order, *, state: State) -> None:
    """Let an order be over: nothing takes it up again."""
    order.state, order.next_attempt_at, order.progress = state, None, None
