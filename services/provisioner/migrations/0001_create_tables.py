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
        "deployment_steps",
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("deployment_id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.Column("step", sqlmodel.sql.sqltypes.AutoString(length=50), nullable=False),
        sa.Column("ok", sa.Boolean(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("deployment_steps", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_deployment_steps_deployment_id"), ["deployment_id"], unique=False
        )

    op.create_table(
        "renewals",
        sa.Column("order_id", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.Column("lineage_id", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.Column("old_fingerprint", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("fingerprint", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("chain", shared.store.columns.Json(), nullable=False),
        sa.Column("names", shared.store.columns.Json(), nullable=False),
        sa.Column("renewed_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("order_id"),
    )
    with op.batch_alter_table("renewals", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_renewals_lineage_id"), ["lineage_id"], unique=False)

    op.create_table(
        "sealing_keys",
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("private_key", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "targets",
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=50), nullable=False),
        sa.Column("host", sqlmodel.sql.sqltypes.AutoString(length=253), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("username", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.Column("host_key", sa.Text(), nullable=False),
        sa.Column("credential", sa.LargeBinary(), nullable=False),
        sa.Column("options", shared.store.columns.Json(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.Column("created_by", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.Column("updated_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.Column("lease", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=True),
        sa.Column("lease_until", shared.store.columns.Instant(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "bindings",
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("lineage_id", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.Column("target_id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("slot_key", sqlmodel.sql.sqltypes.AutoString(length=1000), nullable=False),
        sa.Column("slot", shared.store.columns.Json(), nullable=False),
        sa.Column("endpoints", shared.store.columns.Json(), nullable=False),
        sa.Column("created_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.Column("created_by", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.ForeignKeyConstraint(
            ["target_id"],
            ["targets.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("target_id", "slot_key"),
    )
    with op.batch_alter_table("bindings", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_bindings_lineage_id"), ["lineage_id"], unique=False)

    op.create_table(
        "deployments",
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("order_id", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.Column("binding_id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("lineage_id", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.Column("target_id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("fingerprint", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("renewed_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("phase", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("repairs", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", shared.store.columns.Instant(timezone=True), nullable=True),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=True),
        sa.Column("undo", shared.store.columns.Json(), nullable=True),
        sa.Column("served_before", shared.store.columns.Json(), nullable=True),
        sa.Column("failure", sqlmodel.sql.sqltypes.AutoString(length=30), nullable=True),
        sa.Column("failed_step", sqlmodel.sql.sqltypes.AutoString(length=50), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("restored", sa.Boolean(), nullable=True),
        sa.Column("created_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.Column("updated_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.Column("deployed_at", shared.store.columns.Instant(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["renewals.order_id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("order_id", "binding_id"),
    )
    with op.batch_alter_table("deployments", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_deployments_binding_id"), ["binding_id"], unique=False)
        batch_op.create_index("ix_deployments_due", ["next_attempt_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_deployments_lineage_id"), ["lineage_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_deployments_state"), ["state"], unique=False)
        batch_op.create_index(batch_op.f("ix_deployments_target_id"), ["target_id"], unique=False)

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
    with op.batch_alter_table("deployments", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_deployments_target_id"))
        batch_op.drop_index(batch_op.f("ix_deployments_state"))
        batch_op.drop_index(batch_op.f("ix_deployments_lineage_id"))
        batch_op.drop_index("ix_deployments_due")
        batch_op.drop_index(batch_op.f("ix_deployments_binding_id"))

    op.drop_table("deployments")
    with op.batch_alter_table("bindings", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_bindings_lineage_id"))

    op.drop_table("bindings")
    op.drop_table("targets")
    op.drop_table("sealing_keys")
    with op.batch_alter_table("renewals", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_renewals_lineage_id"))

    op.drop_table("renewals")
    with op.batch_alter_table("deployment_steps", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_deployment_steps_deployment_id"))

    op.drop_table("deployment_steps")
