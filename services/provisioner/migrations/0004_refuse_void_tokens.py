"""Refuse tokens whose holder's rights have changed."""

import sqlalchemy as sa
from alembic import op

import shared.store.columns

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "void_tokens",
        sa.Column("principal_id", sa.String(length=100), nullable=False),
        sa.Column("issued_until", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("principal_id"),
    )


def downgrade() -> None:
    op.drop_table("void_tokens")
