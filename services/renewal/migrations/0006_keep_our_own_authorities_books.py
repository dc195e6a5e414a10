"""Keep what our own authorities have issued and revoked, and what they publish."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import shared.store.columns

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def instant(name: str, *, nullable: bool = True) -> "sa.Column[object]":
    return sa.Column(name, shared.store.columns.Instant(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "builtin_certificates",
        sa.Column("serial", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("authority_id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("request", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("fingerprint", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        instant("issued_at", nullable=False),
        instant("not_after", nullable=False),
        instant("revoked_at"),
        sa.Column("reason", sqlmodel.sql.sqltypes.AutoString(length=30), nullable=True),
        sa.ForeignKeyConstraint(["authority_id"], ["authorities.id"]),
        sa.PrimaryKeyConstraint("serial"),
        sa.UniqueConstraint("authority_id", "request"),
    )
    op.create_index(
        "ix_builtin_certificates_issued", "builtin_certificates", ["authority_id", "issued_at", "serial"]
    )
    is_revoked = sa.text("revoked_at IS NOT NULL")
    op.create_index(
        "ix_builtin_certificates_revoked",
        "builtin_certificates",
        ["authority_id", "not_after"],
        sqlite_where=is_revoked,
        postgresql_where=is_revoked,
    )
    op.create_table(
        "builtin_publications",
        sa.Column("authority_id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("issuer", sa.LargeBinary(), nullable=False),
        sa.Column("crl", sa.LargeBinary(), nullable=True),
        sa.Column("crl_number", sa.Integer(), nullable=False),
        instant("crl_at"),
        sa.Column("is_stale", sa.Boolean(), nullable=False),
        sa.Column("responder_key", sa.LargeBinary(), nullable=True),
        sa.Column("responder_certificate", sa.LargeBinary(), nullable=True),
        instant("responder_until"),
        sa.ForeignKeyConstraint(["authority_id"], ["authorities.id"]),
        sa.PrimaryKeyConstraint("authority_id"),
    )


def downgrade() -> None:
    op.drop_table("builtin_publications")
    op.drop_table("builtin_certificates")
