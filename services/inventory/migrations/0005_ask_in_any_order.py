"""Let lists be asked for in several orders, and keep questions that are asked again."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import shared.store.columns

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ORDERS = {
    "not_after": "not_after",
    "not_before": "not_before",
    "key_type": "key_type",
    "key_bits": "key_bits",
    "subject": "subject_start",
    "issuer": "issuer_start",
}
_BEFORE = ("not_after", "key_type")
_STARTS = ("subject", "issuer")


def upgrade() -> None:
    _add_starts()
    for column in _BEFORE:
        op.drop_index(f"ix_certificates_{column}", "certificates")
    for name, column in _ORDERS.items():
        op.create_index(f"ix_certificates_{name}", "certificates", [column, "id"])
    op.create_index("ix_certificates_serial", "certificates", ["serial"], postgresql_using="hash")
    _create_partial("urgency", ["urgency", "id"], where="urgency IS NOT NULL")
    _create_partial("unreadable", ["id"], where="finding IS NOT NULL")
    _create_partial("ca", ["id"], where="is_ca" if _is_postgresql() else "is_ca = 1")
    op.create_index("ix_places_port", "places", ["port"])
    op.create_index("ix_places_server_name", "places", ["server_name"])
    if _is_postgresql():
        op.execute('ALTER TABLE certificate_names ALTER COLUMN name TYPE VARCHAR(253) COLLATE "C"')
    _create_saved_queries()


def _add_starts() -> None:
    """Each database keeps what is computed in the only way in which it can be added to a table."""
    kind = "STORED" if _is_postgresql() else "VIRTUAL"
    added = [
        f"ADD COLUMN {column}_start VARCHAR(100) GENERATED ALWAYS AS (substr({column}, 1, 100)) {kind}"
        for column in _STARTS
    ]
    # PostgreSQL writes the table anew for each statement, SQLite takes one column in each.
    for statement in [", ".join(added)] if _is_postgresql() else added:
        op.execute(f"ALTER TABLE certificates {statement}")


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _create_partial(name: str, columns: list[str], *, where: str) -> None:
    condition = sa.text(where)
    op.create_index(
        f"ix_certificates_{name}",
        "certificates",
        columns,
        sqlite_where=condition,
        postgresql_where=condition,
    )


def _create_saved_queries() -> None:
    op.create_table(
        "saved_queries",
        sa.Column("id", _text(36), nullable=False),
        sa.Column("owner_id", _text(100), nullable=False),
        sa.Column("name", _text(200), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("sort", _text(100), nullable=False),
        sa.Column("columns", shared.store.columns.Json(), nullable=False),
        sa.Column("is_shared", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.Column("updated_at", shared.store.columns.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("owner_id", "name"),
    )


def _text(length: int) -> sqlmodel.sql.sqltypes.AutoString:
    return sqlmodel.sql.sqltypes.AutoString(length=length)


def downgrade() -> None:
    op.drop_table("saved_queries")
    if _is_postgresql():
        op.execute('ALTER TABLE certificate_names ALTER COLUMN name TYPE VARCHAR(253) COLLATE "default"')
    for name in ("server_name", "port"):
        op.drop_index(f"ix_places_{name}", "places")
    for name in ("ca", "unreadable", "urgency", "serial", *_ORDERS):
        op.drop_index(f"ix_certificates_{name}", "certificates")
    for column in _BEFORE:
        op.create_index(f"ix_certificates_{column}", "certificates", [column])
    for column in _STARTS:
        op.drop_column("certificates", f"{column}_start")
