"""Ask for approvals, and revoke."""

import sqlalchemy as sa
from alembic import op

from shared.store.columns import Instant, Json

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

OPEN_BEFORE = "state IN ('pending', 'issuing', 'waiting')"
OPEN_NOW = "state IN ('pending', 'awaiting_approval', 'issuing', 'waiting')"
INDEX = "ux_orders_open_of_lineage"


def upgrade() -> None:
    op.add_column("orders", sa.Column("terms", sa.String(64), nullable=True))
    op.add_column("enrolments", sa.Column("updated_by", sa.String(100), nullable=True))
    op.add_column("profiles", sa.Column("approver_roles", Json(), nullable=False, server_default="[]"))
    op.add_column(
        "profiles", sa.Column("revoke_replaced", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    _open_orders_are(OPEN_NOW, before=OPEN_BEFORE)
    _create_approvals()
    _create_revocations()


def _open_orders_are(now: str, *, before: str) -> None:
    was, is_ = sa.text(before), sa.text(now)
    op.drop_index(INDEX, "orders", sqlite_where=was, postgresql_where=was)
    op.create_index(INDEX, "orders", ["lineage_id"], unique=True, sqlite_where=is_, postgresql_where=is_)


def _create_approvals() -> None:
    op.create_table(
        "approvals",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("subject_id", sa.String(36), nullable=False),
        sa.Column("lineage_id", sa.String(100), nullable=False),
        sa.Column("document", Json(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("needed", sa.Integer(), nullable=False),
        sa.Column("approver_groups", Json(), nullable=False),
        sa.Column("approver_roles", Json(), nullable=False),
        sa.Column("requesters", Json(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("reminders", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant(timezone=True), nullable=False),
        sa.Column("expires_at", Instant(timezone=True), nullable=False),
        sa.Column("look_at", Instant(timezone=True), nullable=True),
        sa.Column("decided_at", Instant(timezone=True), nullable=True),
    )
    op.create_index("ix_approvals_subject", "approvals", ["kind", "subject_id"])
    op.create_index("ix_approvals_look_at", "approvals", ["look_at"])
    op.create_index("ix_approvals_lineage_id", "approvals", ["lineage_id"])
    op.create_index("ix_approvals_state", "approvals", ["state"])
    op.create_table(
        "decisions",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("approval_id", sa.String(36), sa.ForeignKey("approvals.id"), nullable=False),
        sa.Column("principal", sa.String(100), nullable=False),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("verdict", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("means", sa.String(300), nullable=False),
        sa.Column("is_counted", sa.Boolean(), nullable=False),
        sa.Column("objection", sa.Text(), nullable=True),
        sa.Column("at", Instant(timezone=True), nullable=False),
        sa.Column("trace_id", sa.String(32), nullable=False),
    )
    op.create_index("ix_decisions_approval_id", "decisions", ["approval_id"])
    is_counted = sa.text("is_counted")
    op.create_index(
        "ux_decisions_of_principal",
        "decisions",
        ["approval_id", "principal"],
        unique=True,
        sqlite_where=is_counted,
        postgresql_where=is_counted,
    )


def _create_revocations() -> None:
    op.create_table(
        "revocations",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False, unique=True),
        sa.Column("lineage_id", sa.String(100), nullable=False),
        sa.Column("order_id", sa.String(36), sa.ForeignKey("orders.id"), nullable=False),
        sa.Column("authority_id", sa.String(36), sa.ForeignKey("authorities.id"), nullable=False),
        sa.Column("authority", sa.String(200), nullable=False),
        sa.Column("names", Json(), nullable=False),
        sa.Column("reason", sa.String(30), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("starts", sa.String(30), nullable=False),
        sa.Column("state", sa.String(30), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("next_step", sa.Text(), nullable=True),
        sa.Column("next_attempt_at", Instant(timezone=True), nullable=True),
        sa.Column("lease", sa.String(36), nullable=True),
        sa.Column("lease_until", Instant(timezone=True), nullable=True),
        sa.Column("revoked_at", Instant(timezone=True), nullable=True),
        sa.Column("confirmed_at", Instant(timezone=True), nullable=True),
        sa.Column("confirmed_by", sa.String(20), nullable=True),
        sa.Column("created_at", Instant(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(100), nullable=False),
    )
    op.create_index("ix_revocations_due", "revocations", ["next_attempt_at"])
    op.create_index("ix_revocations_lineage_id", "revocations", ["lineage_id"])
    op.create_index("ix_revocations_state", "revocations", ["state"])
    op.create_index("ix_revocations_lease", "revocations", ["lease"])
    op.create_table(
        "revocation_steps",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("revocation_id", sa.String(36), sa.ForeignKey("revocations.id"), nullable=False),
        sa.Column("at", Instant(timezone=True), nullable=False),
        sa.Column("step", sa.String(50), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
    )
    op.create_index("ix_revocation_steps_revocation_id", "revocation_steps", ["revocation_id"])


def downgrade() -> None:
    for table in ("revocation_steps", "revocations", "decisions", "approvals"):
        op.drop_table(table)
    # An order that waits for an approval would be nobody's.
    op.execute("UPDATE orders SET state = 'failed' WHERE state = 'awaiting_approval'")
    _open_orders_are(OPEN_BEFORE, before=OPEN_NOW)
    for column in ("revoke_replaced", "approver_roles"):
        op.drop_column("profiles", column)
    op.drop_column("enrolments", "updated_by")
    op.drop_column("orders", "terms")
