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
        "places",
        sa.Column("key", sqlmodel.sql.sqltypes.AutoString(length=400), nullable=False),
        sa.Column("address", sqlmodel.sql.sqltypes.AutoString(length=45), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("server_name", sqlmodel.sql.sqltypes.AutoString(length=253), nullable=True),
        sa.Column("fingerprint", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("first_seen", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.Column("last_seen", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.Column("misses", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    with op.batch_alter_table("places", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_places_fingerprint"), ["fingerprint"], unique=False)

    op.create_table(
        "scan_results",
        sa.Column("scan_id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("address", sqlmodel.sql.sqltypes.AutoString(length=45), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("server_name", sqlmodel.sql.sqltypes.AutoString(length=253), nullable=True),
        sa.Column("outcome", sqlmodel.sql.sqltypes.AutoString(length=10), nullable=False),
        sa.Column("reason", sqlmodel.sql.sqltypes.AutoString(length=500), nullable=False),
        sa.Column("fingerprint", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("tls_version", sqlmodel.sql.sqltypes.AutoString(length=10), nullable=True),
        sa.Column("cipher_suite", sqlmodel.sql.sqltypes.AutoString(length=60), nullable=True),
        sa.PrimaryKeyConstraint("scan_id", "number"),
    )
    with op.batch_alter_table("scan_results", schema=None) as batch_op:
        batch_op.create_index("ix_scan_results_outcome", ["scan_id", "outcome", "number"], unique=False)

    op.create_table(
        "scans",
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=36), nullable=False),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("targets", shared.store.columns.Json(), nullable=False),
        sa.Column("exclude", shared.store.columns.Json(), nullable=False),
        sa.Column("segments", shared.store.columns.Json(), nullable=False),
        sa.Column("unresolved", shared.store.columns.Json(), nullable=False),
        sa.Column("timeout", sa.Float(), nullable=False),
        sa.Column("concurrency", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("counts", shared.store.columns.Json(), nullable=False),
        sa.Column("created_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.Column("created_by", sqlmodel.sql.sqltypes.AutoString(length=100), nullable=False),
        sa.Column("started_at", shared.store.columns.Instant(timezone=True), nullable=True),
        sa.Column("finished_at", shared.store.columns.Instant(timezone=True), nullable=True),
        sa.Column("lease_until", shared.store.columns.Instant(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("scans", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_scans_state"), ["state"], unique=False)

    op.create_table(
        "watches",
        sa.Column("place_key", sqlmodel.sql.sqltypes.AutoString(length=400), nullable=False),
        sa.Column("address", sqlmodel.sql.sqltypes.AutoString(length=45), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("server_name", sqlmodel.sql.sqltypes.AutoString(length=253), nullable=True),
        sa.Column("old_fingerprint", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("next_look_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("place_key"),
    )
    with op.batch_alter_table("watches", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_watches_next_look_at"), ["next_look_at"], unique=False)

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
    with op.batch_alter_table("watches", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_watches_next_look_at"))

    op.drop_table("watches")
    with op.batch_alter_table("scans", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_scans_state"))

    op.drop_table("scans")
    with op.batch_alter_table("scan_results", schema=None) as batch_op:
        batch_op.drop_index("ix_scan_results_outcome")

    op.drop_table("scan_results")
    with op.batch_alter_table("places", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_places_fingerprint"))

    op.drop_table("places")
