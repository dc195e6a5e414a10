"""Sources that are logged into, their runs, and what they hold."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import shared.store.columns

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sqlmodel.sql.sqltypes.AutoString(length=length), nullable=nullable)


def _instant(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, shared.store.columns.Instant(timezone=True), nullable=nullable)


def _json(name: str) -> sa.Column:
    return sa.Column(name, shared.store.columns.Json(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "sources",
        _text("id", 36),
        _text("name", 200),
        _text("kind", 50),
        _json("settings"),
        sa.Column("credential", sa.LargeBinary(), nullable=False),
        sa.Column("every", sa.Float(), nullable=True),
        _instant("next_run_at", nullable=True),
        _text("last_run_id", 36, nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        _instant("created_at"),
        _text("created_by", 100),
        _instant("updated_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_index("ix_sources_next_run_at", "sources", ["next_run_at"])
    op.create_table(
        "source_runs",
        _text("id", 36),
        _text("source_id", 36),
        _text("state", 20),
        _text("position", 2000, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _instant("next_attempt_at"),
        sa.Column("holdings", sa.Integer(), nullable=False),
        _json("gaps"),
        _text("error", 1000, nullable=True),
        _text("next_step", 500, nullable=True),
        _text("lease", 36, nullable=True),
        _instant("lease_until", nullable=True),
        _instant("created_at"),
        _instant("finished_at", nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_source_runs_source_id", "source_runs", ["source_id"])
    op.create_index("ix_source_runs_state", "source_runs", ["state"])
    op.create_table(
        "holdings",
        _text("source_id", 36),
        _text("path", 1000),
        _text("address", 253),
        _text("fingerprint", 64),
        _json("details"),
        _text("run_id", 36),
        _instant("first_seen"),
        _instant("last_seen"),
        sa.Column("misses", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("source_id", "path"),
    )
    op.create_index("ix_holdings_fingerprint", "holdings", ["fingerprint"])


def downgrade() -> None:
    op.drop_table("holdings")
    op.drop_table("source_runs")
    op.drop_table("sources")
