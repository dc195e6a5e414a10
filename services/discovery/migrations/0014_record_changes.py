"""Count the changes that are recorded, and co-sign the trail that they are kept in."""

import sqlalchemy as sa
from alembic import op

from shared.store.columns import Json

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_state",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.String(36), nullable=True),
        sa.Column("private_key", sa.LargeBinary(), nullable=True),
        sa.Column("keeper_key", Json(), nullable=True),
        sa.Column("checkpoint", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.String(64), nullable=True),
    )


def downgrade() -> None:
    op.drop_table("audit_state")
