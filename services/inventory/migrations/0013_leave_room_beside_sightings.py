"""Leave room in each page of `sightings`: the row of a place is written anew at every look.

With room in its page the new row is found through the old one, and no index is written (heap-only tuples). Pages that are
there already come to have that room as their rows are written anew. On SQLite a row is changed where it is.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE sightings SET (fillfactor = 70)")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE sightings RESET (fillfactor)")
