"""Replace many certificates as one job: campaigns, their certificates, and what their reports are signed with."""

import sqlalchemy as sa
from alembic import op

import shared.store.columns

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def instant(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, shared.store.columns.Instant(timezone=True), nullable=nullable)


def document(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, shared.store.columns.Json(), nullable=nullable)


def text(name: str, length: int | None = None, *, nullable: bool = True) -> sa.Column[str]:
    return sa.Column(name, sa.String(length) if length else sa.Text(), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "campaigns",
        text("id", 36, nullable=False),
        text("name", 200, nullable=False),
        text("query", nullable=False),
        text("reason", nullable=False),
        instant("deadline"),
        document("profiles"),
        document("not_from"),
        document("waves"),
        text("revoke", 30),
        document("groups"),
        document("scope", nullable=True),
        text("state", 20, nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("forgiven", sa.Integer(), nullable=False),
        text("plan_step", 20),
        text("plan_cursor"),
        text("plan_digest", 64),
        text("last_error"),
        text("next_step"),
        sa.Column("is_told_late", sa.Boolean(), nullable=False),
        instant("created_at", nullable=False),
        text("created_by", 100, nullable=False),
        text("asked_by", 100),
        instant("started_at"),
        text("started_by", 100),
        instant("finished_at"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_campaigns_state", "campaigns", ["state"])
    op.create_table(
        "campaign_items",
        text("campaign_id", 36, nullable=False),
        text("lineage_id", 100, nullable=False),
        text("fingerprint", 64, nullable=False),
        document("names"),
        text("issuer", nullable=False),
        instant("not_after", nullable=False),
        text("owner", 200),
        text("profile_id", 36),
        text("profile", 200),
        sa.Column("profile_version", sa.Integer(), nullable=True),
        text("authority", 200),
        text("obstacle"),
        text("next_step"),
        sa.Column("is_bound", sa.Boolean(), nullable=False),
        sa.Column("wave", sa.Integer(), nullable=True),
        text("state", 20, nullable=False),
        text("order_id", 36),
        text("new_fingerprint", 64),
        text("revocation_id", 36),
        sa.Column("is_revocation_settled", sa.Boolean(), nullable=False),
        instant("ordered_at"),
        instant("renewed_at"),
        instant("observed_at"),
        instant("changed_at", nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"]),
        sa.PrimaryKeyConstraint("campaign_id", "lineage_id"),
    )
    op.create_index("ix_campaign_items_state", "campaign_items", ["campaign_id", "state", "wave"])
    op.create_index("ix_campaign_items_order_id", "campaign_items", ["order_id"])
    op.create_table(
        "evidence_keys",
        text("id", 36, nullable=False),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.Column("public", sa.LargeBinary(), nullable=False),
        instant("created_at", nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    op.drop_table("evidence_keys")
    op.drop_table("campaign_items")
    op.drop_table("campaigns")
