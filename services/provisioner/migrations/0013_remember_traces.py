"""Remember which trace has begun a piece of work."""

import sqlalchemy as sa
from alembic import op

import shared.store.columns

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "traces",
        sa.Column("work_id", sa.String(length=100), nullable=False),
        sa.Column("traceparent", sa.String(length=55), nullable=False),
        sa.Column("at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("work_id"),
    )
    op.create_index("ix_traces_at", "traces", ["at"])


def downgrade() -> None:
    op.drop_table("traces")
