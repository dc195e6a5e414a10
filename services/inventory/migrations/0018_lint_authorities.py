"""Lint the authorities above certificates too, which no lint row is about unless they are served by themselves."""

import sqlalchemy as sa
from alembic import op

import shared.store.columns

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("authorities") as batch_op:
        batch_op.add_column(sa.Column("linted_with", sa.String(length=40), nullable=False, server_default=""))
        batch_op.add_column(
            sa.Column("claimed_until", shared.store.columns.Instant(timezone=True), nullable=True)
        )
        batch_op.add_column(
            sa.Column("linted_at", shared.store.columns.Instant(timezone=True), nullable=True)
        )
        batch_op.add_column(
            sa.Column("findings", shared.store.columns.Json(), nullable=False, server_default="[]")
        )
        batch_op.create_index("ix_authorities_linted_with", ["linted_with"])


def downgrade() -> None:
    with op.batch_alter_table("authorities") as batch_op:
        batch_op.drop_index("ix_authorities_linted_with")
        for name in ("findings", "linted_at", "claimed_until", "linted_with"):
            batch_op.drop_column(name)
