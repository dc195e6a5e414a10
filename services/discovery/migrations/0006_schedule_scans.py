"""Scans on a schedule."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import shared.store.columns

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sqlmodel.sql.sqltypes.AutoString(length=length), nullable=nullable)


def _instant(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, shared.store.columns.Instant(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "schedules",
        _text("id", 36),
        _text("name", 100),
        sa.Column("scan", shared.store.columns.Json(), nullable=False),
        _text("cron", 100, nullable=True),
        sa.Column("every", sa.Float(), nullable=True),
        _text("timezone", 100),
        sa.Column("jitter", sa.Float(), nullable=False),
        sa.Column("quiet_hours", shared.store.columns.Json(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        _instant("next_occurrence"),
        _instant("next_run_at"),
        _text("last_scan_id", 36, nullable=True),
        _instant("last_started_at", nullable=True),
        _text("last_error", 500, nullable=True),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("is_resting", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        _instant("created_at"),
        _text("created_by", 100),
        _instant("updated_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_index("ix_schedules_next_run_at", "schedules", ["next_run_at"])
    op.add_column("scans", _text("schedule_id", 36, nullable=True))


def downgrade() -> None:
    op.drop_column("scans", "schedule_id")
    op.drop_table("schedules")
