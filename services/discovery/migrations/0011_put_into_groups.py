"""Put scans, schedules, sources, secret stores and logs into groups."""

import sqlalchemy as sa
from alembic import op

import shared.store.columns

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

GROUPED = ("scans", "schedules", "sources", "secret_stores", "ct_logs")


def upgrade() -> None:
    for table in GROUPED:
        # What is there already is in no group: callers without groups see it, and may put it into some.
        column = sa.Column("groups", shared.store.columns.Json(), nullable=False, server_default="[]")
        op.add_column(table, column)


def downgrade() -> None:
    for table in GROUPED:
        op.drop_column(table, "groups")
