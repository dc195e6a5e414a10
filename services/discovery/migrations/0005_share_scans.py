"""Share scans among processes, piece by piece, and find results by address."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import shared.store.columns

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _columns() -> tuple[sa.Column, ...]:
    return (
        sa.Column("most_workers", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("does_fan_out", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("rounds", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("first_round", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("active", sa.Float(), nullable=False, server_default="0"),
        sa.Column("active_since", shared.store.columns.Instant(timezone=True), nullable=True),
    )


def upgrade() -> None:
    text = sqlmodel.sql.sqltypes.AutoString(length=36)
    op.create_table(
        "scan_shards",
        sa.Column("scan_id", text, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("lease", text, nullable=True),
        sa.Column("lease_until", shared.store.columns.Instant(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("scan_id", "number"),
    )
    for column in _columns():
        op.add_column("scans", column)
    op.create_index("ix_scan_results_address", "scan_results", ["address"])
    # Scans that are open have no pieces: they begin again, for what is known of them has another order.
    still_open = "state IN ('queued', 'running')"
    op.execute(f"DELETE FROM scan_results WHERE scan_id IN (SELECT id FROM scans WHERE {still_open})")  # noqa: S608 - a constant
    op.execute(
        "UPDATE scans SET state = 'queued', segments = NULL, position = 0, counts = '{}', lease_until = NULL "  # noqa: S608 - a constant
        f"WHERE {still_open}"
    )


def downgrade() -> None:
    op.drop_index("ix_scan_results_address", "scan_results")
    for column in _columns():
        op.drop_column("scans", column.name)
    op.drop_table("scan_shards")
