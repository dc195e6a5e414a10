"""Approve rollouts."""

import sqlalchemy as sa
from alembic import op

from shared.store.columns import Instant, Json

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("renewals", sa.Column("requested_by", sa.String(100), nullable=True))
    _create_approvals()


def _create_approvals() -> None:
    op.create_table(
        "approvals",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("subject_id", sa.String(36), nullable=False),
        sa.Column("lineage_id", sa.String(100), nullable=False),
        sa.Column("document", Json(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("needed", sa.Integer(), nullable=False),
        sa.Column("approver_groups", Json(), nullable=False),
        sa.Column("approver_roles", Json(), nullable=False),
        sa.Column("requesters", Json(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("reminders", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant(timezone=True), nullable=False),
        sa.Column("expires_at", Instant(timezone=True), nullable=False),
        sa.Column("look_at", Instant(timezone=True), nullable=True),
        sa.Column("decided_at", Instant(timezone=True), nullable=True),
    )
    op.create_index("ix_approvals_subject", "approvals", ["kind", "subject_id"])
    op.create_index("ix_approvals_look_at", "approvals", ["look_at"])
    op.create_index("ix_approvals_lineage_id", "approvals", ["lineage_id"])
    op.create_index("ix_approvals_state", "approvals", ["state"])
    op.create_table(
        "decisions",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("approval_id", sa.String(36), sa.ForeignKey("approvals.id"), nullable=False),
        sa.Column("principal", sa.String(100), nullable=False),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("verdict", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("means", sa.String(300), nullable=False),
        sa.Column("is_counted", sa.Boolean(), nullable=False),
        sa.Column("objection", sa.Text(), nullable=True),
        sa.Column("at", Instant(timezone=True), nullable=False),
        sa.Column("trace_id", sa.String(32), nullable=False),
    )
    op.create_index("ix_decisions_approval_id", "decisions", ["approval_id"])
    is_counted = sa.text("is_counted")
    op.create_index(
        "ux_decisions_of_principal",
        "decisions",
        ["approval_id", "principal"],
        unique=True,
        sqlite_where=is_counted,
        postgresql_where=is_counted,
    )


def downgrade() -> None:
    op.drop_table("decisions")
    op.drop_table("approvals")
    op.drop_column("renewals", "requested_by")
