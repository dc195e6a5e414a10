"""Remember which orders have their keys in a PKCS#11 token."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("token_key", sa.String(100), nullable=True))


def downgrade() -> None:
    op.drop_column("orders", "token_key")
