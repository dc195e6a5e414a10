"""Let rules have thresholds, addresses, hours, levels and digests; let alerts be silenced; send reports."""

import sqlalchemy as sa
from alembic import op

from shared.store.columns import Instant, Json

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rules", sa.Column("plan", Json(), nullable=False, server_default="{}"))
    for name in ("snoozed_until", "muted_at"):
        op.add_column("alerts", sa.Column(name, Instant(timezone=True), nullable=True))
    for name in ("snoozed_by", "muted_by"):
        op.add_column("alerts", sa.Column(name, sa.String(100), nullable=True))
    op.add_column("alerts", sa.Column("muted_because", sa.Text(), nullable=True))
    _add_watch()
    _gather_deliveries()
    _add_reports()


def _add_watch() -> None:
    op.create_table(
        "lineages",
        sa.Column("id", sa.String(100), primary_key=True),
        sa.Column("facts", Json(), nullable=False),
        sa.Column("told_at", Instant(timezone=True), nullable=False),
    )
    op.create_table(
        "watched",
        sa.Column("lineage_id", sa.String(100), primary_key=True),
        sa.Column("fingerprint", sa.String(64), primary_key=True),
        sa.Column("not_before", Instant(timezone=True), nullable=False),
        sa.Column("not_after", Instant(timezone=True), nullable=False),
        sa.Column("evidence", Json(), nullable=False),
        sa.Column("is_late", sa.Boolean(), nullable=False),
        sa.Column("due_at", Instant(timezone=True), nullable=True),
    )
    op.create_index("ix_watched_due_at", "watched", ["due_at"])
    op.create_table(
        "crossings",
        sa.Column("rule_id", sa.String(36), primary_key=True),
        sa.Column("lineage_id", sa.String(100), primary_key=True),
        sa.Column("fingerprint", sa.String(64), primary_key=True),
        sa.Column("threshold", sa.String(30), primary_key=True),
        sa.Column("at", Instant(timezone=True), nullable=False),
        sa.Column("noticed_at", Instant(timezone=True), nullable=False),
    )
    op.create_table(
        "pursuits",
        sa.Column("alert_id", sa.String(36), primary_key=True),
        sa.Column("rule_id", sa.String(36), primary_key=True),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("began_at", Instant(timezone=True), nullable=False),
        sa.Column("told_at", Instant(timezone=True), nullable=False),
        sa.Column("next_at", Instant(timezone=True), nullable=True),
    )
    op.create_index("ix_pursuits_next_at", "pursuits", ["next_at"])


def _gather_deliveries() -> None:
    with op.batch_alter_table("deliveries") as table:
        table.alter_column("alert_id", existing_type=sa.String(36), nullable=True)
        table.add_column(sa.Column("is_own", sa.Boolean(), nullable=False, server_default=sa.true()))
        table.add_column(sa.Column("addressed", Json(), nullable=False, server_default="[]"))
        table.add_column(sa.Column("digest_every", sa.Integer(), nullable=True))
        table.add_column(sa.Column("digest_id", sa.String(36), nullable=True))
        table.add_column(sa.Column("digest", Json(), nullable=True))
    op.drop_index("ix_deliveries_channel_id", "deliveries")
    op.create_index("ix_deliveries_channel_id", "deliveries", ["channel_id", "created_at"])
    op.create_index("ix_deliveries_digest_id", "deliveries", ["digest_id"])


def _add_reports() -> None:
    op.create_table(
        "report_schedules",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False, unique=True),
        sa.Column("report", sa.String(30), nullable=False),
        sa.Column("form", sa.String(10), nullable=False),
        sa.Column("query", sa.String(2000), nullable=True),
        sa.Column("channel_id", sa.String(36), nullable=False),
        sa.Column("recipients", Json(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("cron", sa.String(100), nullable=False),
        sa.Column("zone", sa.String(60), nullable=False),
        sa.Column("groups", Json(), nullable=False),
        sa.Column("scope", Json(), nullable=True),
        sa.Column("occurs_at", Instant(timezone=True), nullable=False),
        sa.Column("next_at", Instant(timezone=True), nullable=False),
        sa.Column("lease_until", Instant(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("told", Json(), nullable=False),
        sa.Column("last_sent_at", Instant(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", Instant(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(100), nullable=False),
        sa.Column("created_by_name", sa.String(200), nullable=False),
    )
    op.create_index("ix_report_schedules_next_at", "report_schedules", ["next_at"])


def downgrade() -> None:
    op.drop_table("report_schedules")
    op.execute("DELETE FROM deliveries WHERE alert_id IS NULL")
    op.drop_index("ix_deliveries_digest_id", "deliveries")
    op.drop_index("ix_deliveries_channel_id", "deliveries")
    with op.batch_alter_table("deliveries") as table:
        for name in ("digest", "digest_id", "digest_every", "addressed", "is_own"):
            table.drop_column(name)
        table.alter_column("alert_id", existing_type=sa.String(36), nullable=False)
    op.create_index("ix_deliveries_channel_id", "deliveries", ["channel_id"])
    for name in ("pursuits", "crossings", "watched", "lineages"):
        op.drop_table(name)
    for name in ("muted_because", "muted_by", "muted_at", "snoozed_by", "snoozed_until"):
        op.drop_column("alerts", name)
    op.drop_column("rules", "plan")
