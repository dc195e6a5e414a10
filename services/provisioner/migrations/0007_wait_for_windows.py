"""Wait for windows and for other bindings, watch what is in place, and notice what others change."""

import sqlalchemy as sa
from alembic import op

from shared.store.columns import Instant, Json

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in _on_deployments():
        op.add_column("deployments", column)
    op.add_column("bindings", sa.Column("after", Json(), nullable=False, server_default="[]"))
    op.add_column("bindings", sa.Column("on_drift", sa.String(20), nullable=False, server_default="alert"))
    op.add_column("bindings", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    for column in _on_bindings():
        op.add_column("bindings", column)
    op.create_index("ix_bindings_look_at", "bindings", ["look_at"])
    _create_timings()
    _remember_places()


def _on_deployments() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("hold", sa.String(20), nullable=True),
        sa.Column("hold_reason", sa.Text(), nullable=True),
        sa.Column("overridden_by", sa.String(100), nullable=True),
        sa.Column("network", sa.String(50), nullable=True),
        sa.Column("watch", sa.Integer(), nullable=True),
        sa.Column("watch_until", Instant(timezone=True), nullable=True),
        sa.Column("discovered_at", Instant(timezone=True), nullable=True),
        sa.Column("discovery", sa.String(20), nullable=True),
    )


def _on_bindings() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("fingerprint", sa.String(64), nullable=True),
        sa.Column("deployed_at", Instant(timezone=True), nullable=True),
        sa.Column("look_at", Instant(timezone=True), nullable=True),
        sa.Column("drift", Json(), nullable=True),
        sa.Column("drifted_at", Instant(timezone=True), nullable=True),
        sa.Column("put_right_at", Instant(timezone=True), nullable=True),
    )


def _create_timings() -> None:
    op.create_table(
        "change_windows",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("target_id", sa.String(36), nullable=True),
        sa.Column("group", sa.String(100), nullable=True),
        sa.Column("time_zone", sa.String(100), nullable=False),
        sa.Column("weekly", Json(), nullable=False),
        sa.Column("created_at", Instant(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(100), nullable=False),
    )
    op.create_index("ix_change_windows_target_id", "change_windows", ["target_id"])
    op.create_table(
        "freezes",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("target_id", sa.String(36), nullable=True),
        sa.Column("group", sa.String(100), nullable=True),
        sa.Column("starts_at", Instant(timezone=True), nullable=False),
        sa.Column("ends_at", Instant(timezone=True), nullable=False),
        sa.Column("created_at", Instant(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(100), nullable=False),
    )
    op.create_index("ix_freezes_target_id", "freezes", ["target_id"])
    op.create_index("ix_freezes_ends_at", "freezes", ["ends_at"])


def _remember_places() -> None:
    places = op.create_table(
        "binding_places",
        sa.Column("place", sa.String(1500), primary_key=True),
        sa.Column("binding_id", sa.String(36), primary_key=True),
    )
    op.create_index("ix_binding_places_binding_id", "binding_places", ["binding_id"])
    bindings = sa.table(
        "bindings",
        sa.column("id", sa.String),
        sa.column("target_id", sa.String),
        sa.column("slot_key", sa.String),
        sa.column("endpoints", Json()),
    )
    targets = sa.table("targets", sa.column("id", sa.String), sa.column("host", sa.String))
    query = sa.select(bindings.c.id, bindings.c.slot_key, bindings.c.endpoints, targets.c.host)
    query = query.join(targets, targets.c.id == bindings.c.target_id)
    for binding_id, slot_key, endpoints, host in op.get_bind().execute(query).all():
        shown = {_place(**each) for each in endpoints}
        if host is not None:
            shown.add(f"store://{host}/{slot_key}")
        op.bulk_insert(places, [{"place": each, "binding_id": binding_id} for each in sorted(shown)])


def _place(
    address: str, port: int, server_name: str | None = None, starttls: str | None = None, **_: object
) -> str:
    # As discovery has named endpoints at the time of this migration.
    host = f"[{address}]" if ":" in address else address
    scheme = f"{starttls}+tls" if starttls else "tls"
    return f"{scheme}://{host}:{port}/{server_name or ''}"


def downgrade() -> None:
    for table in ("binding_places", "freezes", "change_windows"):
        op.drop_table(table)
    op.drop_index("ix_bindings_look_at", "bindings")
    for name in ("after", "on_drift", "version", *(column.name for column in _on_bindings())):
        op.drop_column("bindings", name)
    for column in _on_deployments():
        op.drop_column("deployments", column.name)
