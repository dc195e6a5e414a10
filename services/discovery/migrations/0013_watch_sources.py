"""Watch sources whose API tells of changes as they happen."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import shared.store.columns

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sqlmodel.sql.sqltypes.AutoString(length=length), nullable=nullable)


def _instant(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, shared.store.columns.Instant(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "source_watches",
        _text("source_id", 36),
        sa.Column("source_version", sa.Integer(), nullable=False),
        _text("state", 20),
        sa.Column("position", sa.Text(), nullable=True),
        sa.Column("is_changed", sa.Boolean(), nullable=False),
        _instant("last_started_at", nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _instant("next_attempt_at"),
        _text("error", 1000, nullable=True),
        _text("next_step", 500, nullable=True),
        _text("lease", 36, nullable=True),
        _instant("lease_until", nullable=True),
        _instant("updated_at"),
        sa.PrimaryKeyConstraint("source_id"),
    )


def downgrade() -> None:
    op.drop_table("source_watches")
