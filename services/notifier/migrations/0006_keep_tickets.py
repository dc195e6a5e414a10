"""Keep what outside systems have of alerts, and let a channel rest."""

import sqlalchemy as sa
from alembic import op

from shared.store.columns import Instant, Json

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tickets",
        sa.Column("alert_id", sa.String(36), primary_key=True),
        sa.Column("channel_id", sa.String(36), primary_key=True),
        sa.Column("key", sa.String(100), nullable=False),
        sa.Column("ref", sa.String(200), nullable=False),
        sa.Column("link", sa.Text(), nullable=True),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("words", sa.Text(), nullable=True),
        sa.Column("digest", sa.String(64), nullable=True),
        sa.Column("passed", Json(), nullable=False),
        sa.Column("opened_at", Instant(timezone=True), nullable=False),
        sa.Column("updated_at", Instant(timezone=True), nullable=False),
        sa.Column("next_look_at", Instant(timezone=True), nullable=True),
    )
    op.create_index("ix_tickets_channel_id", "tickets", ["channel_id"])
    op.create_index("ix_tickets_next_look_at", "tickets", ["next_look_at"])
    op.add_column("channels", sa.Column("rests_until", Instant(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("channels", schema=None) as batch_op:
        batch_op.drop_column("rests_until")
    op.drop_table("tickets")
