"""Keep when each lineage is renewed and why, what profiles and authorities allow, and what was asked of an authority."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from shared.store.columns import Instant, Json

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, columns in _columns().items():
        for column in columns:
            op.add_column(table, column)
    _create_schedules()
    op.create_table(
        "distrusts",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("authority_id", sa.String(36), nullable=True),
        sa.Column("issuer", sa.Text(), nullable=True),
        sa.Column("issuer_key", sa.String(64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", Instant(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "budget_entries",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("authority_id", sa.String(36), nullable=False),
        sa.Column("what", sa.String(10), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("order_id", sa.String(36), nullable=False),
        sa.Column("at", Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_budget_entries", "budget_entries", ["authority_id", "what", "at"])
    op.create_index("ix_budget_entries_key", "budget_entries", ["key"])


def _create_schedules() -> None:
    op.create_table(
        "schedules",
        sa.Column("lineage_id", sa.String(100), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=True),
        sa.Column("names", Json(), nullable=True),
        sa.Column("issuer", sa.Text(), nullable=True),
        sa.Column("issuer_key", sa.String(64), nullable=True),
        sa.Column("authority_id", sa.String(36), nullable=True),
        sa.Column("not_before", Instant(timezone=True), nullable=True),
        sa.Column("not_after", Instant(timezone=True), nullable=True),
        sa.Column("renew_at", Instant(timezone=True), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("because", sa.Text(), nullable=True),
        sa.Column("forced", sa.String(20), nullable=True),
        sa.Column("forced_at", Instant(timezone=True), nullable=True),
        sa.Column("ari_start", Instant(timezone=True), nullable=True),
        sa.Column("ari_end", Instant(timezone=True), nullable=True),
        sa.Column("ari_explanation", sa.Text(), nullable=True),
        sa.Column("ari_failures", sa.Integer(), nullable=False),
        sa.Column("look_at", Instant(timezone=True), nullable=True),
        sa.Column("ask_at", Instant(timezone=True), nullable=True),
        sa.Column("is_to_be_timed", sa.Boolean(), nullable=False),
        sa.Column("ordered_at", Instant(timezone=True), nullable=True),
        sa.Column("updated_at", Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("lineage_id"),
    )
    for name, columns, condition in (
        ("ix_schedules_due", ["renew_at", "lineage_id"], "ordered_at IS NULL"),
        ("ix_schedules_ask", ["ask_at"], "ask_at IS NOT NULL"),
        ("ix_schedules_look", ["look_at"], "look_at IS NOT NULL"),
        ("ix_schedules_untimed", ["lineage_id"], "is_to_be_timed"),
    ):
        where = sa.text(condition)
        op.create_index(name, "schedules", columns, sqlite_where=where, postgresql_where=where)
    op.create_index("ix_schedules_order", "schedules", ["renew_at", "lineage_id"])
    op.create_index("ix_schedules_issuer_key", "schedules", ["issuer_key"])
    op.create_index("ix_schedules_authority_id", "schedules", ["authority_id"])
    _schedule_what_is_enrolled()


def _schedule_what_is_enrolled() -> None:
    # Inventory is asked for each: which certificate it is was not kept.
    enrolments = sa.table(
        "enrolments", sa.column("lineage_id"), sa.column("updated_at", Instant(timezone=True))
    )
    names = ["lineage_id", "renew_at", "reason", "ari_failures", "is_to_be_timed", "ask_at", "updated_at"]
    never = sa.literal(datetime(9999, 12, 31, tzinfo=UTC), Instant(timezone=True))
    told = enrolments.c.updated_at
    rows = sa.select(
        enrolments.c.lineage_id, never, sa.literal("unknown"), sa.literal(0), sa.false(), told, told
    )
    types = {name: Instant(timezone=True) for name in ("renew_at", "ask_at", "updated_at")}
    schedules = sa.table("schedules", *(sa.column(name, types.get(name)) for name in names))
    op.execute(sa.insert(schedules).from_select(names, rows))


def downgrade() -> None:
    for table in ("budget_entries", "distrusts", "schedules"):
        op.drop_table(table)
    for table, columns in _columns().items():
        for column in columns:
            op.drop_column(table, column.name)


def _columns() -> dict[str, list[sa.Column]]:
    return {
        "authorities": [
            sa.Column("trust", sa.String(10), nullable=False, server_default="private"),
            sa.Column("budget", Json(), nullable=True),
        ],
        "profiles": [
            sa.Column("fallback_authority_id", sa.String(36), nullable=True),
            sa.Column("authority_profile", sa.String(200), nullable=True),
            sa.Column("renew_before", sa.Integer(), nullable=True),
            sa.Column("renew_fraction", sa.Float(), nullable=True),
            sa.Column("renew_noncompliant", sa.String(10), nullable=True),
            sa.Column("key_custody", sa.String(10), nullable=False, server_default="central"),
            sa.Column("reuse_key", sa.Boolean(), nullable=False, server_default=sa.false()),
            sa.Column("reuse_key_reason", sa.Text(), nullable=True),
            sa.Column("approvals_needed", sa.Integer(), nullable=False, server_default="0"),
            sa.Column("approver_groups", Json(), nullable=False, server_default="[]"),
            sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
        ],
        "notices": [
            sa.Column("not_before", Instant(timezone=True), nullable=True),
            sa.Column("issuer", sa.Text(), nullable=True),
        ],
        "orders": [
            sa.Column("reason", sa.String(20), nullable=True),
            sa.Column("held_by", sa.String(20), nullable=True),
            sa.Column("placed_at", Instant(timezone=True), nullable=True),
            sa.Column("given_csr", sa.LargeBinary(), nullable=True),
        ],
    }
