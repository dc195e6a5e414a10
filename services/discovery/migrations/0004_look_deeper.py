"""Look deeper: options of scans, what results and places say beside."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import shared.store.columns

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _text(name: str, length: int) -> sa.Column:
    return sa.Column(name, sqlmodel.sql.sqltypes.AutoString(length=length), nullable=True)


def upgrade() -> None:
    reach = sqlmodel.sql.sqltypes.AutoString(length=10)
    op.add_column("scans", sa.Column("reach", reach, nullable=False, server_default="fast"))
    op.add_column("scans", _text("starttls", 20))
    op.add_column("scans", sa.Column("rate", sa.Float(), nullable=True))
    op.add_column("scans", sa.Column("per_host", sa.Integer(), nullable=True))
    op.add_column("scans", sa.Column("per_network", sa.Integer(), nullable=True))
    for column in (_text("group", 40), _text("starttls", 20), _text("protocol", 40)):
        op.add_column("scan_results", column)
    wants = sa.Column("wants_client_certificate", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("scan_results", wants)
    op.add_column("scan_results", sa.Column("depth", shared.store.columns.Json(), nullable=True))
    others = sa.Column("others", shared.store.columns.Json(), nullable=False, server_default="{}")
    op.add_column("scan_results", others)
    for table in ("places", "watches"):
        op.add_column(table, _text("starttls", 20))
        op.add_column(table, _text("key_type", 10))
    op.create_index("ix_places_address", "places", ["address"])


def downgrade() -> None:
    op.drop_index("ix_places_address", "places")
    for table in ("watches", "places"):
        op.drop_column(table, "key_type")
        op.drop_column(table, "starttls")
    for name in ("others", "depth", "wants_client_certificate", "protocol", "starttls", "group"):
        op.drop_column("scan_results", name)
    for name in ("per_network", "per_host", "rate", "starttls", "reach"):
        op.drop_column("scans", name)
