"""Keep the audit trail."""

import sqlalchemy as sa
from alembic import op

from shared.store.columns import Instant, Json

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_state",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.String(36), nullable=True),
        sa.Column("private_key", sa.LargeBinary(), nullable=True),
        sa.Column("keeper_key", Json(), nullable=True),
        sa.Column("checkpoint", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.String(64), nullable=True),
    )
    op.create_table(
        "audit_entries",
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.String(36), nullable=False, unique=True),
        sa.Column("source", sa.String(30), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("at", Instant(timezone=True), nullable=False),
        sa.Column("actor_id", sa.String(100), nullable=False),
        sa.Column("action", sa.String(100), nullable=False),
        sa.Column("object_kind", sa.String(50), nullable=False),
        sa.Column("object_id", sa.String(300), nullable=False),
        sa.Column("lineage_id", sa.String(100), nullable=True),
        sa.Column("groups", Json(), nullable=False),
        sa.Column("trace_id", sa.String(32), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.UniqueConstraint("source", "sequence"),
    )
    for column in ("at", "actor_id", "action", "lineage_id", "trace_id"):
        op.create_index(f"ix_audit_entries_{column}", "audit_entries", [column])
    op.create_index("ix_audit_entries_object", "audit_entries", ["object_kind", "object_id", "number"])
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
    )
    op.create_table(
        "audit_sources",
        sa.Column("source", sa.String(30), primary_key=True),
        sa.Column("highest", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("key", Json(), nullable=True),
    )
    op.create_table(
        "audit_checkpoints",
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.String(64), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("tombstone", sa.Text(), nullable=True),
        sa.Column("at", Instant(timezone=True), nullable=False),
    )
    op.create_table(
        "audit_cosignatures",
        sa.Column("checkpoint", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("source", sa.String(30), primary_key=True),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("at", Instant(timezone=True), nullable=False),
    )


def downgrade() -> None:
    for table in (
        "audit_cosignatures",
        "audit_checkpoints",
        "audit_sources",
        "audit_head",
        "audit_entries",
    ):
        op.drop_table(table)
    op.drop_table("audit_state")
