"""The tables of the provisioner."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from services.provisioner.domain.drift import OnDrift
from shared.store import Instant, Json, Sealed, SealedOwn
from shared.store.scopes import ToldGroups


class Table(SQLModel, registry=registry()):
    """What all tables of this service belong to."""

    # What would validate a row is built when somebody asks for it, which is hardly ever.
    model_config = {"defer_build": True}


def table_of(kind: type[SQLModel]) -> sa.Table:
    """Return the table of a kind of rows: a statement on it costs half of one on the kind, and knows of no row in a session."""
    table: sa.Table = sa.inspect(kind).local_table
    return table


LINEAGES = ToldGroups(Table.metadata)
"""The groups of lineages: bindings and deployments are in them."""


class Target(Table, table=True):
    """Something we log into to change: a host, or an API whose options say where it is.

    The lease says which process works on it now.
    """

    __tablename__ = "targets"

    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(max_length=200, unique=True)
    kind: str = Field(max_length=50)
    host: str | None = Field(default=None, max_length=253)
    """As port, username and host key, of a host only."""
    port: int | None = None
    username: str | None = Field(default=None, max_length=100)
    host_key: str | None = Field(default=None, sa_type=sa.Text)
    credential: bytes = Field(sa_type=Sealed)
    """Sealed; of the type that its kind names."""
    options: dict[str, Any] = Field(sa_type=Json)
    groups: list[str] = Field(default_factory=list, sa_type=Json)
    version: int = 1
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)
    updated_at: datetime = Field(sa_type=Instant)
    lease: str | None = Field(default=None, max_length=36)
    lease_until: datetime | None = Field(default=None, sa_type=Instant)


class Binding(Table, table=True):
    """A lineage belongs in a slot of a target, and these endpoints serve it from there."""

    __tablename__ = "bindings"
    __table_args__ = (
        sa.UniqueConstraint("target_id", "slot_key"),
        sa.Index("ix_bindings_look_at", "look_at"),
    )

    id: str = Field(primary_key=True, max_length=36)
    lineage_id: str = Field(max_length=100, index=True)
    target_id: str = Field(max_length=36, foreign_key="targets.id")
    slot_key: str = Field(max_length=1000)
    slot: dict[str, Any] = Field(sa_type=Json)
    endpoints: list[dict[str, Any]] = Field(sa_type=Json)
    after: list[str] = Field(default_factory=list, sa_type=Json)
    """Ids of the lineage's bindings that come first."""
    on_drift: str = Field(default=OnDrift.ALERT, max_length=20)
    version: int = 1
    fingerprint: str | None = Field(default=None, max_length=64)
    """What was last seen in place by our doing."""
    deployed_at: datetime | None = Field(default=None, sa_type=Instant)
    look_at: datetime | None = Field(default=None, sa_type=Instant)
    """When its endpoints are looked at again; empty as long as nothing was put there."""
    drift: dict[str, str] | None = Field(default=None, sa_type=Json)
    """Where another certificate was seen, and which."""
    drifted_at: datetime | None = Field(default=None, sa_type=Instant)
    put_right_at: datetime | None = Field(default=None, sa_type=Instant)
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)


class BindingPlace(Table, table=True):
    """A place, as discovery names it, that shows what is in the slot of a binding."""

    __tablename__ = "binding_places"

    place: str = Field(primary_key=True, max_length=1500)
    binding_id: str = Field(primary_key=True, max_length=36, index=True)


class Renewal(Table, table=True):
    """A certificate that renewal has obtained."""

    __tablename__ = "renewals"

    order_id: str = Field(primary_key=True, max_length=100)
    lineage_id: str = Field(max_length=100, index=True)
    old_fingerprint: str | None = Field(default=None, max_length=64)
    fingerprint: str = Field(max_length=64)
    chain: list[str] = Field(sa_type=Json)
    """DER in base64, leaf first."""
    names: list[str] = Field(sa_type=Json)
    renewed_at: datetime = Field(sa_type=Instant)
    key_is_on_target: bool = False
    """Whether the key was made on the target, where it waits."""
    requested_by: str | None = Field(default=None, max_length=100)
    """Who has asked renewal for it, where it tells."""


class KeyRequest(Table, table=True):
    """A key that is made on a target for an order of renewal's; the lease says which process works on it now."""

    __tablename__ = "key_requests"
    __table_args__ = (sa.Index("ix_key_requests_due", "next_attempt_at"),)

    order_id: str = Field(primary_key=True, max_length=100)
    lineage_id: str = Field(max_length=100)
    names: list[str] = Field(sa_type=Json)
    key_type: str = Field(max_length=30)
    expires_at: datetime = Field(sa_type=Instant)
    told_at: datetime = Field(sa_type=Instant)
    """When renewal has asked for it last."""
    state: str = Field(max_length=20)
    binding_id: str | None = Field(default=None, max_length=36, index=True)
    target_id: str | None = Field(default=None, max_length=36)
    """Where something may wait; empty before that."""
    slot: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """The binding's, which may be gone when the key is removed."""
    attempts: int = 0
    """How many attempts have failed."""
    last_error: str | None = Field(default=None, sa_type=sa.Text)
    next_attempt_at: datetime | None = Field(default=None, sa_type=Instant)
    """When a worker takes it up; empty where no worker shall."""
    lease: str | None = Field(default=None, max_length=36)
    lease_until: datetime | None = Field(default=None, sa_type=Instant)
    updated_at: datetime = Field(sa_type=Instant)


class Deployment(Table, table=True):
    """One certificate on its way into one slot."""

    __tablename__ = "deployments"
    __table_args__ = (
        sa.UniqueConstraint("order_id", "binding_id"),
        sa.Index("ix_deployments_due", "next_attempt_at"),
    )

    id: str = Field(primary_key=True, max_length=36)
    order_id: str = Field(max_length=100, foreign_key="renewals.order_id")
    binding_id: str = Field(max_length=36, index=True)
    lineage_id: str = Field(max_length=100, index=True)
    target_id: str = Field(max_length=36, index=True)
    fingerprint: str = Field(max_length=64)
    renewed_at: datetime = Field(sa_type=Instant)
    state: str = Field(max_length=20, index=True)
    phase: str = Field(max_length=20)
    attempt: int = 0
    """How many attempts have failed."""
    repairs: int = 0
    """How many times putting things back has failed, in this attempt."""
    next_attempt_at: datetime | None = Field(default=None, sa_type=Instant)
    """When a worker takes it up; empty where no worker shall."""
    sealed_key: bytes | None = None
    """As renewal sent it; only our sealing key opens it."""
    undo: dict[str, Any] | None = Field(default=None, sa_type=Json)
    sealed_undo: bytes | None = Field(default=None, sa_type=Sealed)
    """In the place of `undo`, where that holds a secret: what was there before could not be put back without."""
    served_before: list[str | None] | None = Field(default=None, sa_type=Json)
    """What each endpoint served before, in the binding's order."""
    failure: str | None = Field(default=None, max_length=30)
    failed_step: str | None = Field(default=None, max_length=50)
    reason: str | None = Field(default=None, sa_type=sa.Text)
    restored: bool | None = None
    hold: str | None = Field(default=None, max_length=20)
    """What keeps it from beginning."""
    hold_reason: str | None = Field(default=None, sa_type=sa.Text)
    overridden_by: str | None = Field(default=None, max_length=100)
    """Who has said that it does not wait for a window."""
    network: str | None = Field(default=None, max_length=50)
    watch: int | None = None
    """For how many seconds it is watched; empty for as long as the settings say."""
    watch_until: datetime | None = Field(default=None, sa_type=Instant)
    discovered_at: datetime | None = Field(default=None, sa_type=Instant)
    """When discovery has last looked at one of its places."""
    discovery: str | None = Field(default=None, max_length=20)
    """What it has seen there: `seen`, or `stale`."""
    rollout_id: str | None = Field(default=None, max_length=36, index=True)
    wave: int = 0
    created_at: datetime = Field(sa_type=Instant)
    updated_at: datetime = Field(sa_type=Instant)
    deployed_at: datetime | None = Field(default=None, sa_type=Instant)


class Step(Table, table=True):
    """One thing that was done, or that failed, in an attempt."""

    __tablename__ = "deployment_steps"

    id: str = Field(primary_key=True, max_length=36)
    deployment_id: str = Field(max_length=36, index=True)
    attempt: int
    at: datetime = Field(sa_type=Instant)
    step: str = Field(max_length=50)
    ok: bool
    text: str = Field(sa_type=sa.Text)


class SealingKey(Table, table=True):
    """The X25519 key that renewal seals private keys to; there is one row."""

    __tablename__ = "sealing_keys"

    name: str = Field(primary_key=True, max_length=20)
    public_key: bytes
    private_key: bytes = Field(sa_type=SealedOwn)
    """Sealed."""
    created_at: datetime = Field(sa_type=Instant)


class Proposal(Table, table=True):
    """A certificate file of a host and what its configuration uses it for: ready to become a binding, or why not."""

    __tablename__ = "proposals"
    __table_args__ = (
        sa.UniqueConstraint("host", "path"),
        sa.Index("ix_proposals_fingerprint", "fingerprint"),
    )

    id: str = Field(primary_key=True, max_length=36)
    host: str = Field(max_length=253)
    path: str = Field(max_length=1000)
    fingerprint: str = Field(max_length=64)
    products: str = Field(max_length=500)
    """Names between commas, one before the first and one after the last too."""
    held: dict[str, Any] = Field(sa_type=Json)
    """As `shared.events.discovery.Held`."""
    groups: list[str] = Field(default_factory=list, sa_type=Json)
    """Those of the source that has told of it."""
    obstacle: str | None = Field(default=None, sa_type=sa.Text)
    """Why no target of ours can do it; empty where one can."""
    observed_at: datetime = Field(sa_type=Instant)
    gone_at: datetime | None = Field(default=None, sa_type=Instant)
    """When no configuration was seen to use it any more."""
    binding_id: str | None = Field(default=None, max_length=36)
    """What it was accepted as."""
