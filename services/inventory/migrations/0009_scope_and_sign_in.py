"""Scope principals to groups, sign people in, and refuse void tokens."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import shared.store.columns

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_NEW = ("void_until", "disabled_at", "version", "identity", "groups")


def upgrade() -> None:
    with op.batch_alter_table("principals") as principals:
        none = sa.text("'[]'")
        principals.add_column(
            sa.Column("groups", shared.store.columns.Json(), nullable=False, server_default=none)
        )
        principals.add_column(sa.Column("identity", _text(64), nullable=True))
        principals.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
        principals.add_column(sa.Column("disabled_at", _instant(), nullable=True))
        principals.add_column(sa.Column("void_until", _instant(), nullable=True))
        principals.create_unique_constraint("uq_principals_identity", ["identity"])
    op.create_table(
        "void_tokens",
        sa.Column("principal_id", sa.String(length=100), nullable=False),
        sa.Column("issued_until", _instant(), nullable=False),
        sa.PrimaryKeyConstraint("principal_id"),
    )
    op.create_table(
        "sign_ins",
        sa.Column("state", _text(64), nullable=False),
        sa.Column("browser", _text(64), nullable=False),
        sa.Column("nonce", _text(64), nullable=False),
        sa.Column("verifier", sa.LargeBinary(), nullable=False),
        sa.Column("return_to", sa.Text(), nullable=False),
        sa.Column("expires_at", _instant(), nullable=False),
        sa.PrimaryKeyConstraint("state"),
    )
    op.create_index("ix_sign_ins_expires_at", "sign_ins", ["expires_at"])
    op.create_table(
        "sessions",
        sa.Column("digest", _text(64), nullable=False),
        sa.Column("principal_id", _text(36), nullable=False),
        sa.Column("created_at", _instant(), nullable=False),
        sa.Column("expires_at", _instant(), nullable=False),
        sa.ForeignKeyConstraint(["principal_id"], ["principals.id"]),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("ix_sessions_principal_id", "sessions", ["principal_id"])
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])


def _text(length: int) -> sqlmodel.sql.sqltypes.AutoString:
    return sqlmodel.sql.sqltypes.AutoString(length=length)


def _instant() -> shared.store.columns.Instant:
    return shared.store.columns.Instant(timezone=True)


def downgrade() -> None:
    for table in ("sessions", "sign_ins", "void_tokens"):
        op.drop_table(table)
    with op.batch_alter_table("principals") as principals:
        principals.drop_constraint("uq_principals_identity")
        for column in _NEW:
            principals.drop_column(column)
