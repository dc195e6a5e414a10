"""The tables every service's database has beside its own: outbox, inbox, remembered requests, void tokens, audit state, traces."""

import sqlalchemy as sa

from shared.store.columns import Instant, Json, Sealed

PLUMBING = sa.MetaData()

OUTBOX = sa.Table(
    "outbox",
    PLUMBING,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("event_id", sa.String(36), nullable=False),
    sa.Column("type", sa.String(100), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)
"""Events that are true but not yet on the bus. Rows are deleted once the bus has them."""

INBOX = sa.Table(
    "inbox",
    PLUMBING,
    sa.Column("queue", sa.String(100), primary_key=True),
    sa.Column("event_id", sa.String(36), primary_key=True),
    sa.Column("seen_at", Instant, nullable=False, index=True),
)
"""Events whose effect is in this database. Written in the transaction of the effect itself."""

REQUESTS = sa.Table(
    "requests",
    PLUMBING,
    sa.Column("principal", sa.String(100), primary_key=True),
    sa.Column("route", sa.String(200), primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("response", Json, nullable=True),
    sa.Column("created_at", Instant, nullable=False, index=True),
)
"""Answers to requests that carried an `Idempotency-Key`; `response` is null while one runs."""

VOID_TOKENS = sa.Table(
    "void_tokens",
    PLUMBING,
    sa.Column("principal_id", sa.String(100), primary_key=True),
    sa.Column("issued_until", Instant, nullable=False),
)
"""Whose tokens are refused though they have not ended: those issued at this instant or before."""

TRACES = sa.Table(
    "traces",
    PLUMBING,
    sa.Column("work_id", sa.String(100), primary_key=True),
    sa.Column("traceparent", sa.String(55), nullable=False),
    sa.Column("at", Instant, nullable=False, index=True),
)
"""Which trace has begun a piece of work; only where traces are recorded, and for some days."""

AUDIT_STATE = sa.Table(
    "audit_state",
    PLUMBING,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("key_id", sa.String(36), nullable=True),
    sa.Column("private_key", Sealed, nullable=True),
    sa.Column("keeper_key", Json, nullable=True),
    sa.Column("checkpoint", sa.BigInteger, nullable=True),
    sa.Column("digest", sa.String(64), nullable=True),
)
"""One row: how many changes this service has recorded; the key that it signs checkpoints of the trail with; the key of
who keeps the trail, as it was first seen; and the checkpoint that was signed last."""
