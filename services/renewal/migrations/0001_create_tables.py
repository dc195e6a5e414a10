"""create tables"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import shared.store.columns

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "authorities",
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=50), nullable=False),
        sa.Column("options", shared.store.columns.Json(), nullable=False),
        sa.Column("secrets", sa.LargeBinary(), nullable=False),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.Column("roots", shared.store.columns.Json(), nullable=False),
        sa.Column("created_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.Column("created_by", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "http_challenges",
        sa.Column("token", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column("answer", sqlmodel.sql.sqltypes.AutoString(length=400), nullable=False),
        sa.Column("created_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token"),
    )
    op.create_table(
        "notices",
        sa.Column("lineage_id", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.Column("fingerprint", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("names", shared.store.columns.Json(), nullable=False),
        sa.Column("not_after", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.Column("urgency", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("told_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("lineage_id"),
    )
    op.create_table(
        "profiles",
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column("authority_id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("key_type", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("lifetime", sa.Integer(), nullable=False),
        sa.Column("allowed_names", shared.store.columns.Json(), nullable=False),
        sa.Column("challenge", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=True),
        sa.Column("created_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.Column("created_by", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.ForeignKeyConstraint(
            ["authority_id"],
            ["authorities.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "enrolments",
        sa.Column("lineage_id", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.Column("profile_id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("names", shared.store.columns.Json(), nullable=True),
        sa.Column("created_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.Column("created_by", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.Column("updated_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["profile_id"],
            ["profiles.id"],
        ),
        sa.PrimaryKeyConstraint("lineage_id"),
    )
    op.create_table(
        "orders",
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("lineage_id", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.Column("profile_id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("authority_id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("authority", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column("names", shared.store.columns.Json(), nullable=False),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("old_fingerprint", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("private_key", sa.LargeBinary(), nullable=True),
        sa.Column("csr", sa.LargeBinary(), nullable=True),
        sa.Column("progress", sa.LargeBinary(), nullable=True),
        sa.Column("fingerprint", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("chain", shared.store.columns.Json(), nullable=True),
        sa.Column("not_before", shared.store.columns.Instant(timezone=True), nullable=True),
        sa.Column("not_after", shared.store.columns.Instant(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("next_step", sa.Text(), nullable=True),
        sa.Column("next_attempt_at", shared.store.columns.Instant(timezone=True), nullable=True),
        sa.Column("lease", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=True),
        sa.Column("lease_until", shared.store.columns.Instant(timezone=True), nullable=True),
        sa.Column("created_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.Column("created_by", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.Column("renewed_at", shared.store.columns.Instant(timezone=True), nullable=True),
        sa.Column("observed_at", shared.store.columns.Instant(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["authority_id"],
            ["authorities.id"],
        ),
        sa.ForeignKeyConstraint(
            ["profile_id"],
            ["profiles.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.create_index("ix_orders_due", ["next_attempt_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_orders_fingerprint"), ["fingerprint"], unique=False)
        batch_op.create_index(batch_op.f("ix_orders_lease"), ["lease"], unique=False)
        batch_op.create_index(batch_op.f("ix_orders_lineage_id"), ["lineage_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_orders_state"), ["state"], unique=False)
        batch_op.create_index(
            "ux_orders_open_of_lineage",
            ["lineage_id"],
            unique=True,
            sqlite_where=sa.text("state IN ('pending', 'issuing', 'waiting')"),
            postgresql_where=sa.text("state IN ('pending', 'issuing', 'waiting')"),
        )

    op.create_table(
        "key_releases",
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("order_id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("deployment_id", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.Column("principal", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.Column("released_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.Column("trace_id", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("is_repeat", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["orders.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("key_releases", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_key_releases_deployment_id"), ["deployment_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_key_releases_order_id"), ["order_id"], unique=False)

    op.create_table(
        "order_steps",
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("order_id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.Column("step", sqlmodel.sql.sqltypes.AutoString(length=50), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["orders.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("order_steps", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_order_steps_order_id"), ["order_id"], unique=False)

    op.create_table(
        "inbox",
        sa.Column("queue", sa.String(length=100), nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("seen_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("queue", "event_id"),
    )
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_inbox_seen_at"), ["seen_at"], unique=False)

    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "requests",
        sa.Column("principal", sa.String(length=100), nullable=False),
        sa.Column("route", sa.String(length=200), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("response", shared.store.columns.Json(), nullable=True),
        sa.Column("created_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("principal", "route", "key"),
    )
    with op.batch_alter_table("requests", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_requests_created_at"), ["created_at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("requests", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_requests_created_at"))

    op.drop_table("requests")
    op.drop_table("outbox")
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_inbox_seen_at"))

    op.drop_table("inbox")
    with op.batch_alter_table("order_steps", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_order_steps_order_id"))

    op.drop_table("order_steps")
    with op.batch_alter_table("key_releases", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_key_releases_order_id"))
        batch_op.drop_index(batch_op.f("ix_key_releases_deployment_id"))

    op.drop_table("key_releases")
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.drop_index(
            "ux_orders_open_of_lineage",
            sqlite_where=sa.text("state IN ('pending', 'issuing', 'waiting')"),
            postgresql_where=sa.text("state IN ('pending', 'issuing', 'waiting')"),
        )
        batch_op.drop_index(batch_op.f("ix_orders_state"))
        batch_op.drop_index(batch_op.f("ix_orders_lineage_id"))
        batch_op.drop_index(batch_op.f("ix_orders_lease"))
        batch_op.drop_index(batch_op.f("ix_orders_fingerprint"))
        batch_op.drop_index("ix_orders_due")

    op.drop_table("orders")
    op.drop_table("enrolments")
    op.drop_table("profiles")
    op.drop_table("notices")
    op.drop_table("http_challenges")
    op.drop_table("authorities")
