"""Make keys on targets."""

import sqlalchemy as sa
from alembic import op

from shared.store.columns import Instant, Json

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "renewals", sa.Column("key_is_on_target", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_table(
        "key_requests",
        sa.Column("order_id", sa.String(100), primary_key=True),
        sa.Column("lineage_id", sa.String(100), nullable=False),
        sa.Column("names", Json(), nullable=False),
        sa.Column("key_type", sa.String(30), nullable=False),
        sa.Column("expires_at", Instant(timezone=True), nullable=False),
        sa.Column("told_at", Instant(timezone=True), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("binding_id", sa.String(36), nullable=True),
        sa.Column("target_id", sa.String(36), nullable=True),
        sa.Column("slot", Json(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("next_attempt_at", Instant(timezone=True), nullable=True),
        sa.Column("lease", sa.String(36), nullable=True),
        sa.Column("lease_until", Instant(timezone=True), nullable=True),
        sa.Column("updated_at", Instant(timezone=True), nullable=False),
    )
    op.create_index("ix_key_requests_due", "key_requests", ["next_attempt_at"])
    op.create_index("ix_key_requests_binding_id", "key_requests", ["binding_id"])


def downgrade() -> None:
    op.drop_table("key_requests")
    op.drop_column("renewals", "key_is_on_target")
