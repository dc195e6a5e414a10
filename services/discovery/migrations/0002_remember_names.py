"""Remember host names."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import shared.store.columns

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "names",
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=253), nullable=False),
        sa.Column("address", sqlmodel.sql.sqltypes.AutoString(length=45), nullable=False),
        sa.Column("origin", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("seen_at", shared.store.columns.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", "address", "origin"),
    )
    op.create_index("ix_names_address", "names", ["address"])


def downgrade() -> None:
    op.drop_table("names")
