"""Judge chains as served, lint certificates, and keep what authorities say of their revocation."""

from datetime import UTC, datetime
from hashlib import sha256

import sqlalchemy as sa
import sqlmodel
from alembic import op

import shared.store.columns

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_BATCH = 1000


def upgrade() -> None:
    _create_chains()
    _create_lints()
    _create_revocations()
    _enrol()


def _create_chains() -> None:
    op.create_table(
        "served_chains",
        sa.Column("fingerprint", _text(64), nullable=False),
        sa.Column("chain_digest", _text(64), nullable=False),
        sa.Column("chain", shared.store.columns.Json(), nullable=False),
        sa.Column("due_at", _instant(), nullable=False),
        sa.Column("judged_at", _instant(), nullable=True),
        sa.Column("state", _text(20), nullable=True),
        sa.Column("store", _text(20), nullable=True),
        sa.Column("trusted_until", _instant(), nullable=True),
        sa.Column("details", shared.store.columns.Json(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", "chain_digest"),
    )
    op.create_index("ix_served_chains_due_at", "served_chains", ["due_at"])
    op.create_index("ix_served_chains_state", "served_chains", ["state", "fingerprint"])
    op.create_table(
        "issuers",
        sa.Column("fingerprint", _text(64), nullable=False),
        sa.Column("subject_digest", _text(64), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint"),
    )
    op.create_index("ix_issuers_subject_digest", "issuers", ["subject_digest"])


def _create_lints() -> None:
    op.create_table(
        "lints",
        sa.Column("fingerprint", _text(64), nullable=False),
        sa.Column("is_public", sa.Boolean(), nullable=False),
        sa.Column("linted_with", _text(40), nullable=False),
        sa.Column("claimed_until", _instant(), nullable=True),
        sa.Column("linted_at", _instant(), nullable=True),
        sa.Column("kind", _text(20), nullable=True),
        sa.Column("rules", _text(20), nullable=True),
        sa.PrimaryKeyConstraint("fingerprint"),
    )
    op.create_index("ix_lints_linted_with", "lints", ["linted_with"])
    op.create_table(
        "findings",
        sa.Column("fingerprint", _text(64), nullable=False),
        sa.Column("rule", _text(150), nullable=False),
        sa.Column("severity", _text(10), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("linter", _text(40), nullable=False),
        sa.Column("first_seen", _instant(), nullable=False),
        sa.Column("last_seen", _instant(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", "rule"),
    )
    op.create_index("ix_findings_rule", "findings", ["rule", "fingerprint"])
    op.create_index("ix_findings_severity", "findings", ["severity", "fingerprint"])


def _create_revocations() -> None:
    op.create_table(
        "revocations",
        sa.Column("fingerprint", _text(64), nullable=False),
        sa.Column("issuer_fingerprint", _text(64), nullable=True),
        sa.Column("ocsp_url", sa.Text(), nullable=True),
        sa.Column("crl_id", _text(32), nullable=True),
        sa.Column("due_at", _instant(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("checked_at", _instant(), nullable=True),
        sa.Column("state", _text(20), nullable=True),
        sa.Column("evidence", sa.Text(), nullable=True),
        sa.Column("means", _text(10), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("this_update", _instant(), nullable=True),
        sa.Column("next_update", _instant(), nullable=True),
        sa.Column("revoked_at", _instant(), nullable=True),
        sa.Column("reason", _text(30), nullable=True),
        sa.Column("told_at", _instant(), nullable=True),
        sa.PrimaryKeyConstraint("fingerprint"),
    )
    op.create_index("ix_revocations_due_at", "revocations", ["due_at"])
    op.create_index("ix_revocations_state", "revocations", ["state", "fingerprint"])
    op.create_index("ix_revocations_crl", "revocations", ["crl_id", "due_at"])
    op.create_table(
        "crls",
        sa.Column("id", _text(32), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("fetched_at", _instant(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "crl_bodies",
        sa.Column("id", _text(32), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _enrol() -> None:
    """Have the chains judged that are known already, as they were seen last; all else follows from that."""
    json, instant = shared.store.columns.Json(), _instant()
    known = sa.table("certificates", sa.column("fingerprint", sa.String), sa.column("chain", json))
    rows = sa.table(
        "served_chains",
        sa.column("fingerprint", sa.String),
        sa.column("chain_digest", sa.String),
        sa.column("chain", json),
        sa.column("due_at", instant),
        sa.column("details", json),
    )
    after, now = "", datetime.now(UTC)
    while True:
        query = (
            sa.select(known).where(known.c.fingerprint > after).order_by(known.c.fingerprint).limit(_BATCH)
        )
        found = op.get_bind().execute(query).all()
        if not found:
            return
        values = [
            {
                "fingerprint": fingerprint,
                "chain_digest": sha256("".join([fingerprint, *chain]).encode()).hexdigest(),
                "chain": chain,
                "due_at": now,
                "details": {},
            }
            for fingerprint, chain in found
        ]
        op.get_bind().execute(sa.insert(rows), values)
        after = found[-1][0]


def _text(length: int) -> sqlmodel.sql.sqltypes.AutoString:
    return sqlmodel.sql.sqltypes.AutoString(length=length)


def _instant() -> shared.store.columns.Instant:
    return shared.store.columns.Instant(timezone=True)


def downgrade() -> None:
    for table in ("crl_bodies", "crls", "revocations", "findings", "lints", "issuers", "served_chains"):
        op.drop_table(table)
