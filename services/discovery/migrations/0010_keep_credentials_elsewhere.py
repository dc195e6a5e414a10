"""Stores that keep secrets, and sources whose credential lies in one."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import shared.store.columns

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sqlmodel.sql.sqltypes.AutoString(length=length), nullable=nullable)


def _instant(name: str) -> sa.Column:
    return sa.Column(name, shared.store.columns.Instant(timezone=True), nullable=False)


def upgrade() -> None:
    op.create_table(
        "secret_stores",
        _text("id", 36),
        _text("name", 200),
        _text("kind", 50),
        sa.Column("settings", shared.store.columns.Json(), nullable=False),
        sa.Column("credential", sa.LargeBinary(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        _instant("created_at"),
        _text("created_by", 100),
        _instant("updated_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.add_column("sources", _text("secret_store_id", 36, nullable=True))
    op.add_column("sources", sa.Column("credential_from", shared.store.columns.Json(), nullable=True))
    op.create_index("ix_sources_secret_store_id", "sources", ["secret_store_id"])


def downgrade() -> None:
    op.drop_index("ix_sources_secret_store_id", "sources")
    op.drop_column("sources", "credential_from")
    op.drop_column("sources", "secret_store_id")
    op.drop_table("secret_stores")
