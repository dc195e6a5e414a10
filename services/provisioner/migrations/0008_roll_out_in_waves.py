"""Roll certificates out in waves."""

import sqlalchemy as sa
from alembic import op

from shared.store.columns import Instant, Json

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rollout_policies",
        sa.Column("lineage_id", sa.String(100), primary_key=True),
        sa.Column("canaries", sa.Integer(), nullable=False),
        sa.Column("share", sa.Integer(), nullable=False),
        sa.Column("soak", sa.Integer(), nullable=False),
        sa.Column("stop_after", sa.Integer(), nullable=False),
        sa.Column("watch", sa.Integer(), nullable=False),
        sa.Column("approvals_needed", sa.Integer(), nullable=False),
        sa.Column("approver_groups", Json(), nullable=False),
        sa.Column("approver_roles", Json(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", Instant(timezone=True), nullable=False),
        sa.Column("updated_by", sa.String(100), nullable=False),
    )
    _create_rollouts()
    op.add_column("deployments", sa.Column("rollout_id", sa.String(36), nullable=True))
    op.add_column("deployments", sa.Column("wave", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("ix_deployments_rollout_id", "deployments", ["rollout_id"])


def _create_rollouts() -> None:
    op.create_table(
        "rollouts",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("order_id", sa.String(100), sa.ForeignKey("renewals.order_id"), nullable=False),
        sa.Column("lineage_id", sa.String(100), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("renewed_at", Instant(timezone=True), nullable=False),
        sa.Column("canaries", sa.Integer(), nullable=False),
        sa.Column("share", sa.Integer(), nullable=False),
        sa.Column("soak", sa.Integer(), nullable=False),
        sa.Column("stop_after", sa.Integer(), nullable=False),
        sa.Column("approvals_needed", sa.Integer(), nullable=False),
        sa.Column("approver_groups", Json(), nullable=False),
        sa.Column("approver_roles", Json(), nullable=False),
        sa.Column("policy_by", sa.String(100), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("soaked_at", Instant(timezone=True), nullable=True),
        sa.Column("look_at", Instant(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", Instant(timezone=True), nullable=False),
        sa.Column("updated_at", Instant(timezone=True), nullable=False),
        sa.Column("finished_at", Instant(timezone=True), nullable=True),
    )
    for column in ("look_at", "order_id", "lineage_id", "state"):
        op.create_index(f"ix_rollouts_{column}", "rollouts", [column])


def downgrade() -> None:
    op.drop_index("ix_deployments_rollout_id", "deployments")
    op.drop_column("deployments", "wave")
    op.drop_column("deployments", "rollout_id")
    op.drop_table("rollouts")
    op.drop_table("rollout_policies")
