"""The tables: authorities, profiles, notices, enrolments, orders, and who was given which key."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from shared.store import Instant, Json, Sealed
from shared.store.scopes import ToldGroups

_IS_OPEN = sa.text("state IN ('pending', 'awaiting_request', 'awaiting_approval', 'issuing', 'waiting')")


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
    secrets: bytes = Field(sa_type=Sealed)
    """Sealed: what we were given."""
    private: bytes = Field(sa_type=Sealed)
    """Sealed: what we made, such as the root's or the account's key."""
    roots: list[str] = Field(sa_type=Json)
    """DER in base64."""
    trust: str = Field(default="private", max_length=10)
    """Whether browsers trust it: `public` or `private`; the CA/Browser Forum's rules hold for a public one."""
    budget: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """What may be asked of it in a while; empty where nobody has said."""
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
    fallback_authority_id: str | None = Field(default=None, max_length=36)
    """Who is asked where the authority keeps failing and time runs out."""
    authority_profile: str | None = Field(default=None, max_length=200)
    """What the authority calls the terms it is to issue on."""
    renew_before: int | None = None
    """Seconds before the end; only for more than 200 days of lifetime."""
    renew_fraction: float | None = None
    """The part of the lifetime after which it is renewed."""
    renew_noncompliant: str | None = Field(default=None, max_length=10)
    """How bad a broken rule of a policy has to be for a renewal; empty for never."""
    key_custody: str = Field(default="central", max_length=10)
    reuse_key: bool = False
    reuse_key_reason: str | None = Field(default=None, sa_type=sa.Text)
    approvals_needed: int = 0
    """How many people have to agree before anything is ordered by it, but for unchanged automated renewal."""
    approver_groups: list[str] = Field(default_factory=list, sa_type=Json)
    """They are in one of these; where there are none, in any."""
    approver_roles: list[str] = Field(default_factory=list, sa_type=Json)
    """They have one of these; where there are none, any that may approve."""
    revoke_replaced: bool = False
    """Whether a certificate is revoked once another was seen in all its places."""
    version: int = 1
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
    not_before: datetime | None = Field(default=None, sa_type=Instant)
    """Empty where it was told before this was kept."""
    issuer: str | None = Field(default=None, sa_type=sa.Text)
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
    updated_by: str | None = Field(default=None, max_length=100)
    """Who has said last how it is renewed."""


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
    reason: str | None = Field(default=None, max_length=20)
    """Why it was ordered, as the schedule says; empty where somebody ordered it as such."""
    held_by: str | None = Field(default=None, max_length=20)
    """What it waits for without having failed: `budget` or `loop`."""
    placed_at: datetime | None = Field(default=None, sa_type=Instant)
    """When the authority's budget was spent for the request that there is now."""
    given_csr: bytes | None = None
    """A request that somebody brought: its key was never here."""
    request_until: datetime | None = Field(default=None, sa_type=Instant)
    """Until when the request may come from the target; empty where it is made here, or was brought with the order."""
    token_key: str | None = Field(default=None, max_length=100)
    """The name of its private key in the PKCS#11 token, where it was made there and stays."""
    private_key: bytes | None = Field(default=None, sa_type=Sealed)
    """Sealed PKCS#8 in PEM; empty before it is made, and when nobody needs it any more."""
    csr: bytes | None = None
    terms: str | None = Field(default=None, max_length=64)
    """The digest of what it was let pass with, without its key: an automated renewal with the same is approved before."""
    progress: bytes | None = Field(default=None, sa_type=Sealed)
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
