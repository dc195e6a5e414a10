"""Let a hook pass on what is decided in the tickets of a channel."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("approval_hooks", sa.Column("channel_id", sa.String(36), nullable=True))
    op.add_column("approval_hooks", sa.Column("channel_seal", sa.String(64), nullable=True))
    op.create_index("ix_approval_hooks_channel_id", "approval_hooks", ["channel_id"])


def downgrade() -> None:
    op.drop_index("ix_approval_hooks_channel_id", "approval_hooks")
    with op.batch_alter_table("approval_hooks", schema=None) as batch_op:
        batch_op.drop_column("channel_seal")
        batch_op.drop_column("channel_id")
