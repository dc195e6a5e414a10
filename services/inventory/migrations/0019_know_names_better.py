"""Have PostgreSQL know a thousand places among the names, and not a hundred.

All names of a domain stand together. One that has two in a hundred of them lies between two of a hundred places, and was
thought to have one name: its certificates were fetched all, and sorted, for a page of fifty.
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE certificate_names ALTER COLUMN backwards SET STATISTICS 1000")
        op.execute("ANALYZE certificate_names (backwards)")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE certificate_names ALTER COLUMN backwards SET STATISTICS -1")
