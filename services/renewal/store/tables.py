"""The tables: authorities, profiles, notices, enrolments, orders, and who was given which key."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from shared.store import Instant, Json
from shared.store.scopes import ToldGroups

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
