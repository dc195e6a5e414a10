"""Tell second certificates of an endpoint apart."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    kind = sqlmodel.sql.sqltypes.AutoString(length=10)
    op.add_column("places", sa.Column("key_type", kind, nullable=True))


def downgrade() -> None:
    op.drop_column("places", "key_type")
