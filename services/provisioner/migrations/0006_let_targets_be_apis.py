"""Let targets be APIs as well as hosts, and keep what a way back needs sealed where it is secret."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _of_hosts() -> list[tuple[str, sa.types.TypeEngine[object], str]]:
    """Return what only hosts have: the column, its type, and what stands for nothing."""
    return [
        ("host", sa.String(253), "''"),
        ("port", sa.Integer(), "0"),
        ("username", sa.String(100), "''"),
        ("host_key", sa.Text(), "''"),
    ]


def upgrade() -> None:
    for name, kind, _ in _of_hosts():
        _exchange(sa.Column(f"new_{name}", kind, nullable=True), name, name)
    op.add_column("deployments", sa.Column("sealed_undo", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("deployments", "sealed_undo")
    for name, kind, empty in _of_hosts():
        column = sa.Column(f"new_{name}", kind, nullable=False, server_default=sa.text(empty))
        _exchange(column, name, f"coalesce({name}, {empty})")


def _exchange(column: sa.Column[object], name: str, value: str) -> None:
    """Put a column into the place of another.

    SQLite cannot let an existing column be empty, and a table that bindings refer to cannot be made anew.
    """
    op.add_column("targets", column)
    op.execute(f"UPDATE targets SET {column.name} = {value}")  # noqa: S608 - names from this file alone
    op.drop_column("targets", name)
    op.alter_column("targets", column.name, new_column_name=name)
