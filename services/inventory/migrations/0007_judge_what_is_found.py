"""Keep how TLS is spoken, letters, policies with their verdicts, and exceptions."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import shared.store.columns

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sightings", sa.Column("negotiated_digest", sa.BigInteger(), nullable=True))
    op.add_column("sightings", sa.Column("tls_digest", sa.BigInteger(), nullable=True))
    _create_facts()
    _create_assessments()
    _create_policies()
    _create_exceptions()
    # What is known already is judged at the first start.
    op.execute(
        "INSERT INTO assessments (place_id, due_at, details) "
        "SELECT place_id, last_seen, '{}' FROM sightings WHERE fingerprint IS NOT NULL"
    )


def _create_facts() -> None:
    op.create_table(
        "place_tls",
        sa.Column("place_id", _text(32), nullable=False),
        sa.Column("facts", _json(), nullable=True),
        sa.Column("facts_digest", sa.BigInteger(), nullable=True),
        sa.Column("facts_at", _instant(), nullable=True),
        sa.Column("version", _text(20), nullable=True),
        sa.Column("suite", _text(100), nullable=True),
        sa.Column("group", _text(50), nullable=True),
        sa.Column("negotiated_at", _instant(), nullable=True),
        sa.PrimaryKeyConstraint("place_id"),
    )
    op.create_table(
        "certificate_traits",
        sa.Column("fingerprint", _text(64), nullable=False),
        sa.Column("is_read", sa.Boolean(), nullable=False),
        sa.Column("is_public", sa.Boolean(), nullable=True),
        sa.Column("rsa_exponent", sa.Integer(), nullable=True),
        sa.Column("is_trusted", sa.Boolean(), nullable=True),
        sa.Column("is_revoked", sa.Boolean(), nullable=True),
        sa.Column("is_chain_complete", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("fingerprint"),
    )


def _create_assessments() -> None:
    op.create_table(
        "assessments",
        sa.Column("place_id", _text(32), nullable=False),
        sa.Column("due_at", _instant(), nullable=True),
        sa.Column("fingerprint", _text(64), nullable=True),
        sa.Column("grade", _text(2), nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("details", _json(), nullable=False),
        sa.Column("pq_key_exchange", _text(20), nullable=True),
        sa.Column("pq_signature", _text(20), nullable=True),
        sa.Column("pq_after", sa.Date(), nullable=True),
        sa.Column("rules", _text(60), nullable=True),
        sa.Column("assessed_at", _instant(), nullable=True),
        sa.PrimaryKeyConstraint("place_id"),
    )
    op.create_index("ix_assessments_due_at", "assessments", ["due_at"])
    op.create_index("ix_assessments_grade", "assessments", ["grade", "place_id"])
    op.create_table(
        "verdicts",
        sa.Column("policy_id", _text(60), nullable=False),
        sa.Column("place_id", _text(32), nullable=False),
        sa.Column("fingerprint", _text(64), nullable=False),
        sa.Column("lineage_id", _text(100), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("verdict", _text(10), nullable=False),
        sa.Column("is_by_exception", sa.Boolean(), nullable=False),
        sa.Column("standing", sa.Text(), nullable=False),
        sa.Column("details", _json(), nullable=False),
        sa.Column("since", _instant(), nullable=False),
        sa.PrimaryKeyConstraint("policy_id", "place_id"),
    )
    op.create_index("ix_verdicts_place_id", "verdicts", ["place_id"])
    op.create_index("ix_verdicts_lineage", "verdicts", ["policy_id", "lineage_id"])
    op.create_index("ix_verdicts_verdict", "verdicts", ["policy_id", "verdict", "place_id"])
    op.create_index("ix_verdicts_fingerprint", "verdicts", ["fingerprint", "policy_id"])
    op.create_table(
        "noncompliance",
        sa.Column("policy_id", _text(60), nullable=False),
        sa.Column("lineage_id", _text(100), nullable=False),
        sa.Column("broken", sa.Text(), nullable=False),
        sa.Column("told_at", _instant(), nullable=False),
        sa.PrimaryKeyConstraint("policy_id", "lineage_id"),
    )


def _create_policies() -> None:
    op.create_table(
        "policies",
        sa.Column("id", _text(60), nullable=False),
        sa.Column("title", _text(200), nullable=False),
        sa.Column("is_builtin", sa.Boolean(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", _json(), nullable=False),
        sa.Column("created_at", _instant(), nullable=False),
        sa.Column("created_by", _text(100), nullable=False),
        sa.Column("updated_at", _instant(), nullable=False),
        sa.Column("updated_by", _text(100), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _create_exceptions() -> None:
    op.create_table(
        "exceptions",
        sa.Column("id", _text(36), nullable=False),
        sa.Column("policy_id", _text(60), nullable=False),
        sa.Column("rule_id", _text(60), nullable=False),
        sa.Column("scope", _text(20), nullable=False),
        sa.Column("scope_value", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ends_at", _instant(), nullable=False),
        sa.Column("state", _text(20), nullable=False),
        sa.Column("requested_by", _text(100), nullable=False),
        sa.Column("requested_by_name", _text(200), nullable=False),
        sa.Column("requested_at", _instant(), nullable=False),
        sa.Column("decided_by", _text(100), nullable=True),
        sa.Column("decided_by_name", _text(200), nullable=True),
        sa.Column("decided_at", _instant(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_exceptions_policy_id", "exceptions", ["policy_id"])
    op.create_index("ix_exceptions_ends_at", "exceptions", ["ends_at"])


def _text(length: int) -> sqlmodel.sql.sqltypes.AutoString:
    return sqlmodel.sql.sqltypes.AutoString(length=length)


def _json() -> shared.store.columns.Json:
    return shared.store.columns.Json()


def _instant() -> shared.store.columns.Instant:
    return shared.store.columns.Instant(timezone=True)


def downgrade() -> None:
    for table in (
        "exceptions",
        "policies",
        "noncompliance",
        "verdicts",
        "assessments",
        "certificate_traits",
        "place_tls",
    ):
        op.drop_table(table)
    for column in ("tls_digest", "negotiated_digest"):
        op.drop_column("sightings", column)
