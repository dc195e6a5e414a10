"""Follow the keys of the trail, and since when something is missing in it."""

import sqlalchemy as sa
from alembic import op

from shared.store.columns import Instant, Json

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_keys",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("jwk", Json(), nullable=False),
        sa.Column("private_key", sa.LargeBinary(), nullable=True),
        sa.Column("made_at", Instant(timezone=True), nullable=False),
        sa.Column("retired_at", Instant(timezone=True), nullable=True),
    )
    op.add_column("audit_sources", sa.Column("missing_since", Instant(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("audit_sources", "missing_since")
    op.drop_table("audit_keys")
