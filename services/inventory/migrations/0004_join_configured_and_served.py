"""Join what is configured and what is served by rows, and keep what is wrong."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import shared.store.columns

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _add_columns()
    _create_joins()
    op.create_table(
        "flaws",
        sa.Column("place_id", _text(32), nullable=False),
        sa.Column("flaw", _text(20), nullable=False),
        sa.Column("since", _instant(), nullable=False),
        sa.Column("ended_at", _instant(), nullable=True),
        sa.PrimaryKeyConstraint("place_id", "flaw"),
    )
    is_open = sa.text("ended_at IS NULL")
    op.create_index(
        "ix_flaws_open", "flaws", ["flaw", "place_id"], sqlite_where=is_open, postgresql_where=is_open
    )


def _add_columns() -> None:
    no = sa.false()
    # What was told before is joined when it is told again: `is_joined` is false until then.
    op.add_column("held", sa.Column("format", _text(50), nullable=True))
    op.add_column("held", sa.Column("is_named", sa.Boolean(), nullable=False, server_default=no))
    op.add_column("held", sa.Column("front_id", _text(32), nullable=True))
    op.add_column("held", sa.Column("is_joined", sa.Boolean(), nullable=False, server_default=no))
    op.add_column("held", sa.Column("is_waiting", sa.Boolean(), nullable=False, server_default=no))
    op.create_index("ix_held_front_id", "held", ["front_id"])
    op.add_column("sightings", sa.Column("is_awaited", sa.Boolean(), nullable=False, server_default=no))
    op.add_column("sightings", sa.Column("is_proof", sa.Boolean(), nullable=False, server_default=sa.true()))


def _create_joins() -> None:
    op.create_table(
        "fronts",
        sa.Column("id", _text(32), nullable=False),
        sa.Column("run_id", _text(100), nullable=True),
        sa.Column("seen_at", _instant(), nullable=False),
        sa.Column("changed_at", _instant(), nullable=True),
        sa.Column("read_at", _instant(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_fronts_run_id", "fronts", ["run_id"])
    op.create_table(
        "front_addresses",
        sa.Column("address", _text(64), nullable=False),
        sa.Column("front_id", _text(32), nullable=False),
        sa.PrimaryKeyConstraint("address", "front_id"),
    )
    op.create_index("ix_front_addresses_front_id", "front_addresses", ["front_id"])
    op.create_table(
        "slots",
        sa.Column("front_id", _text(32), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("server_name", _text(253), nullable=False),
        sa.Column("place_id", _text(32), nullable=False),
        sa.PrimaryKeyConstraint("front_id", "port", "server_name", "place_id"),
    )
    op.create_index("ix_slots_place_id", "slots", ["place_id"])
    op.create_table(
        "source_reads",
        sa.Column("source_id", _text(100), nullable=False),
        sa.Column("run_id", _text(100), nullable=False),
        sa.Column("read_at", _instant(), nullable=False),
        sa.PrimaryKeyConstraint("source_id"),
    )
    op.create_index("ix_source_reads_run_id", "source_reads", ["run_id"])


def _text(length: int) -> sqlmodel.sql.sqltypes.AutoString:
    return sqlmodel.sql.sqltypes.AutoString(length=length)


def _instant() -> shared.store.columns.Instant:
    return shared.store.columns.Instant(timezone=True)


def downgrade() -> None:
    for table in ("flaws", "source_reads", "slots", "front_addresses", "fronts"):
        op.drop_table(table)
    for column in ("is_proof", "is_awaited"):
        op.drop_column("sightings", column)
    op.drop_index("ix_held_front_id", "held")
    for column in ("is_waiting", "is_joined", "front_id", "is_named", "format"):
        op.drop_column("held", column)
