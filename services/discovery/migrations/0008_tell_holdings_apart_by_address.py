"""A source may hold the same path at several addresses."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import shared.store.columns

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_NAMES = "source_id, address, path, fingerprint, details, run_id, first_seen, last_seen, misses"


def _text(name: str, length: int) -> sa.Column:
    return sa.Column(name, sqlmodel.sql.sqltypes.AutoString(length=length), nullable=False)


def _instant(name: str) -> sa.Column:
    return sa.Column(name, shared.store.columns.Instant(timezone=True), nullable=False)


def _replace(*key: str) -> None:
    """Make the table anew with another key: SQLite cannot change one."""
    op.drop_index("ix_holdings_fingerprint", "holdings")
    op.rename_table("holdings", "holdings_before")
    op.create_table(
        "holdings",
        _text("source_id", 36),
        _text("address", 253),
        _text("path", 1000),
        _text("fingerprint", 64),
        sa.Column("details", shared.store.columns.Json(), nullable=False),
        _text("run_id", 36),
        _instant("first_seen"),
        _instant("last_seen"),
        sa.Column("misses", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(*key, name="pk_holdings_" + "_".join(key)),
    )
    op.execute(f"INSERT INTO holdings ({_NAMES}) SELECT {_NAMES} FROM holdings_before")  # noqa: S608 - all are ours
    op.drop_table("holdings_before")
    op.create_index("ix_holdings_fingerprint", "holdings", ["fingerprint"])


def upgrade() -> None:
    _replace("source_id", "address", "path")
    op.create_index("ix_holdings_address", "holdings", ["address"])


def downgrade() -> None:
    op.drop_index("ix_holdings_address", "holdings")
    _replace("source_id", "path")
