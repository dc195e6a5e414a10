"""Approve what is put in place on a target, and change windows and freezes."""

import sqlalchemy as sa
from alembic import op

from shared.store.columns import Instant, Json

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("change_windows", "freezes"):
        op.add_column(table, sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.create_table(
        "approval_rules",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("target_id", sa.String(36), nullable=True),
        sa.Column("group", sa.String(100), nullable=True),
        sa.Column("approvals_needed", sa.Integer(), nullable=False),
        sa.Column("approver_groups", Json(), nullable=False),
        sa.Column("approver_roles", Json(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant(timezone=True), nullable=False),
        sa.Column("updated_at", Instant(timezone=True), nullable=False),
        sa.Column("updated_by", sa.String(100), nullable=False),
    )
    op.create_index("ix_approval_rules_target_id", "approval_rules", ["target_id"])


def downgrade() -> None:
    op.drop_table("approval_rules")
    for table in ("change_windows", "freezes"):
        op.drop_column(table, "version")
