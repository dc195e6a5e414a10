"""Keep how stores hold certificates."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import shared.store.columns

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "held",
        sa.Column("place_id", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("observed_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.Column("key_fingerprint", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("is_key_exposed", sa.Boolean(), nullable=False),
        sa.Column("is_key_match", sa.Boolean(), nullable=True),
        sa.Column("in_use", sa.Boolean(), nullable=True),
        sa.Column("details", shared.store.columns.Json(), nullable=False),
        sa.PrimaryKeyConstraint("place_id"),
    )
    op.create_index("ix_held_key_fingerprint", "held", ["key_fingerprint"])
    op.create_index("ix_places_address", "places", ["address", "port"])


def downgrade() -> None:
    op.drop_index("ix_places_address", "places")
    op.drop_table("held")
