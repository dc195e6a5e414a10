"""Put channels and rules into groups, and remember those of what alerts are about."""

import sqlalchemy as sa
from alembic import op

import shared.store.columns

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

GROUPED = ("channels", "rules")


def upgrade() -> None:
    for table in GROUPED:
        # What is there already is in no group: callers without groups see it, and may put it into some.
        column = sa.Column("groups", shared.store.columns.Json(), nullable=False, server_default="[]")
        op.add_column(table, column)
    op.create_table(
        "told_groups",
        sa.Column("object_id", sa.String(120), nullable=False),
        sa.Column("group_id", sa.String(100), nullable=False),
        sa.Column("is_member", sa.Boolean(), nullable=False),
        sa.Column("told_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("object_id", "group_id"),
    )
    op.create_index("ix_told_groups_group_id", "told_groups", ["group_id", "object_id"])


def downgrade() -> None:
    op.drop_table("told_groups")
    for table in GROUPED:
        op.drop_column(table, "groups")
