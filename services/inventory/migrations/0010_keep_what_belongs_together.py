"""Keep what is odd about certificates, the authorities above them, and what is spread over many places."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import shared.store.columns

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "oddities",
        sa.Column("fingerprint", _text(64), nullable=False),
        sa.Column("code", _text(40), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", "code"),
    )
    op.create_index("ix_oddities_code", "oddities", ["code"])
    _create_authorities()
    op.create_table(
        "twins",
        sa.Column("fingerprint", _text(64), nullable=False),
        sa.Column("digest", _text(64), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint"),
    )
    op.create_index("ix_twins_digest", "twins", ["digest"])
    _create_spreads()
    # What is known already is looked at as if it were news.
    op.execute("INSERT INTO due_associations (id, fingerprint) SELECT id, fingerprint FROM certificates")


def _create_authorities() -> None:
    op.create_table(
        "authorities",
        sa.Column("fingerprint", _text(64), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("issuer", sa.Text(), nullable=True),
        sa.Column("serial", sa.Text(), nullable=True),
        sa.Column("not_before", _instant(), nullable=True),
        sa.Column("not_after", _instant(), nullable=True),
        sa.Column("key_type", _text(50), nullable=True),
        sa.Column("key_bits", sa.Integer(), nullable=True),
        sa.Column("key_fingerprint", _text(64), nullable=True),
        sa.Column("signature_algorithm", _text(100), nullable=True),
        sa.Column("is_self_issued", sa.Boolean(), nullable=False),
        sa.Column("first_known_at", _instant(), nullable=False),
        sa.Column("leaves", sa.Integer(), nullable=False),
        sa.Column("outliving", sa.Integer(), nullable=False),
        sa.Column("urgency", _text(20), nullable=True),
        sa.Column("told", _text(20), nullable=True),
        sa.Column("next_crossing_at", _instant(), nullable=True),
        sa.PrimaryKeyConstraint("fingerprint"),
    )
    op.create_index("ix_authorities_end", "authorities", ["not_after", "fingerprint"])
    op.create_index("ix_authorities_key_fingerprint", "authorities", ["key_fingerprint"])
    op.create_index("ix_authorities_next_crossing_at", "authorities", ["next_crossing_at"])
    op.create_table(
        "issued_under",
        sa.Column("authority", _text(64), nullable=False),
        sa.Column("fingerprint", _text(64), nullable=False),
        sa.Column("ends", _instant(), nullable=True),
        sa.Column("is_direct", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("authority", "fingerprint"),
    )
    op.create_index("ix_issued_under_fingerprint", "issued_under", ["fingerprint"])
    op.create_index("ix_issued_under_end", "issued_under", ["authority", "ends", "fingerprint"])


def _create_spreads() -> None:
    op.create_table(
        "spreads",
        sa.Column("kind", _text(10), nullable=False),
        sa.Column("id", _text(64), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("certificates", sa.Integer(), nullable=False),
        sa.Column("addresses", sa.Integer(), nullable=False),
        sa.Column("hosts", sa.Integer(), nullable=False),
        sa.Column("places", sa.Integer(), nullable=False),
        sa.Column("counted_at", _instant(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "id"),
    )
    op.create_index("ix_spreads_weight", "spreads", ["kind", "weight", "id"])
    op.create_table(
        "due_associations",
        sa.Column("id", _text(36), nullable=False),
        sa.Column("fingerprint", _text(64), nullable=True),
        sa.Column("key_fingerprint", _text(64), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )


def _text(length: int) -> sqlmodel.sql.sqltypes.AutoString:
    return sqlmodel.sql.sqltypes.AutoString(length=length)


def _instant() -> shared.store.columns.Instant:
    return shared.store.columns.Instant(timezone=True)


def downgrade() -> None:
    for table in ("due_associations", "spreads", "twins", "issued_under", "authorities", "oddities"):
        op.drop_table(table)
