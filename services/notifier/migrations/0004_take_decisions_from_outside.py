"""Take decisions on approvals from outside systems."""

import sqlalchemy as sa
from alembic import op

from shared.store.columns import Instant, Json

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "approval_hooks",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False, unique=True),
        sa.Column("secrets", sa.LargeBinary(), nullable=False),
        sa.Column("approvers", Json(), nullable=False),
        sa.Column("groups", Json(), nullable=False),
        sa.Column("created_at", Instant(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(100), nullable=False),
    )
    op.create_table(
        "hook_messages",
        sa.Column("hook_id", sa.String(36), primary_key=True),
        sa.Column("message_id", sa.String(255), primary_key=True),
        sa.Column("seen_at", Instant(timezone=True), nullable=False),
    )
    op.create_index("ix_hook_messages_seen_at", "hook_messages", ["seen_at"])


def downgrade() -> None:
    op.drop_table("hook_messages")
    op.drop_table("approval_hooks")
