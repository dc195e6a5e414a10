"""Propose bindings for what configurations use."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import shared.store.columns

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "proposals",
        sa.Column("id", _text(36), nullable=False),
        sa.Column("host", _text(253), nullable=False),
        sa.Column("path", _text(1000), nullable=False),
        sa.Column("fingerprint", _text(64), nullable=False),
        sa.Column("products", _text(500), nullable=False),
        sa.Column("held", shared.store.columns.Json(), nullable=False),
        sa.Column("obstacle", sa.Text(), nullable=True),
        sa.Column("observed_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.Column("gone_at", shared.store.columns.Instant(timezone=True), nullable=True),
        sa.Column("binding_id", _text(36), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("host", "path"),
    )
    op.create_index("ix_proposals_fingerprint", "proposals", ["fingerprint"])


def _text(length: int) -> sqlmodel.sql.sqltypes.AutoString:
    return sqlmodel.sql.sqltypes.AutoString(length=length)


def downgrade() -> None:
    op.drop_table("proposals")
