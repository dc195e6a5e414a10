"""Let targets that cannot be reached fetch what is offered to them."""

import sqlalchemy as sa
from alembic import op

from shared.store.columns import Instant

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pull_offers",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("target_id", sa.String(36), nullable=False),
        sa.Column("slot_key", sa.String(1000), nullable=False),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("private_key", sa.LargeBinary(), nullable=True),
        sa.Column("offered_at", Instant(timezone=True), nullable=False),
        sa.Column("key_released_at", Instant(timezone=True), nullable=True),
        sa.Column("released_to", sa.String(64), nullable=True),
        sa.Column("outcome", sa.String(20), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("reported_at", Instant(timezone=True), nullable=True),
        sa.UniqueConstraint("target_id", "slot_key"),
    )
    op.create_table(
        "pull_tokens",
        sa.Column("binding_id", sa.String(36), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("made_at", Instant(timezone=True), nullable=False),
        sa.Column("made_by", sa.String(100), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("pull_tokens")
    op.drop_table("pull_offers")
