"""Wait for requests that are made on the target."""

import sqlalchemy as sa
from alembic import op

from shared.store.columns import Instant

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

OPEN_BEFORE = "state IN ('pending', 'awaiting_approval', 'issuing', 'waiting')"
OPEN_NOW = "state IN ('pending', 'awaiting_request', 'awaiting_approval', 'issuing', 'waiting')"
INDEX = "ux_orders_open_of_lineage"


def upgrade() -> None:
    op.add_column("orders", sa.Column("request_until", Instant(timezone=True), nullable=True))
    _open_orders_are(OPEN_NOW, before=OPEN_BEFORE)


def _open_orders_are(now: str, *, before: str) -> None:
    was, is_ = sa.text(before), sa.text(now)
    op.drop_index(INDEX, "orders", sqlite_where=was, postgresql_where=was)
    op.create_index(INDEX, "orders", ["lineage_id"], unique=True, sqlite_where=is_, postgresql_where=is_)


def downgrade() -> None:
    # An order that waits for a request would be nobody's.
    op.execute("UPDATE orders SET state = 'failed' WHERE state = 'awaiting_request'")
    _open_orders_are(OPEN_BEFORE, before=OPEN_NOW)
    op.drop_column("orders", "request_until")
