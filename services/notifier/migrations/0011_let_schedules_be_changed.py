"""Let schedules of reports be changed: who changes one says which version they have read."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    version = sa.Column("version", sa.Integer(), nullable=False, server_default="1")
    op.add_column("report_schedules", version)


def downgrade() -> None:
    op.drop_column("report_schedules", "version")
