"""Remember whose groups may have changed, and what was told of them.

Triggers write it down: whoever puts a certificate into a group, in whatever statement, cannot forget to.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_POSTGRESQL = (
    """
    CREATE FUNCTION mark_regrouped() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO regrouped (lineage_id, marks)
        SELECT DISTINCT lineage_id, 1 FROM changed JOIN certificates USING (fingerprint) ORDER BY lineage_id
        ON CONFLICT (lineage_id) DO UPDATE SET marks = regrouped.marks + 1;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION mark_moved() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO regrouped (lineage_id, marks)
        SELECT lineage_id, 1 FROM (VALUES (OLD.lineage_id), (NEW.lineage_id)) AS moved (lineage_id)
        ORDER BY lineage_id
        ON CONFLICT (lineage_id) DO UPDATE SET marks = regrouped.marks + 1;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER group_members_joined AFTER INSERT ON group_members
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_regrouped()
    """,
    """
    CREATE TRIGGER group_members_left AFTER DELETE ON group_members
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_regrouped()
    """,
    """
    CREATE TRIGGER certificates_moved AFTER UPDATE OF lineage_id ON certificates
    FOR EACH ROW WHEN (OLD.lineage_id <> NEW.lineage_id) EXECUTE FUNCTION mark_moved()
    """,
)
_SQLITE = (
    """
    CREATE TRIGGER group_members_joined AFTER INSERT ON group_members BEGIN
        INSERT OR REPLACE INTO regrouped (lineage_id, marks)
        SELECT lineage_id, 1 FROM certificates WHERE fingerprint = NEW.fingerprint;
    END
    """,
    """
    CREATE TRIGGER group_members_left AFTER DELETE ON group_members BEGIN
        INSERT OR REPLACE INTO regrouped (lineage_id, marks)
        SELECT lineage_id, 1 FROM certificates WHERE fingerprint = OLD.fingerprint;
    END
    """,
    """
    CREATE TRIGGER certificates_moved AFTER UPDATE OF lineage_id ON certificates
    WHEN OLD.lineage_id <> NEW.lineage_id BEGIN
        INSERT OR REPLACE INTO regrouped (lineage_id, marks) VALUES (OLD.lineage_id, 1), (NEW.lineage_id, 1);
    END
    """,
)
_TRIGGERS = {
    "group_members_joined": "group_members",
    "group_members_left": "group_members",
    "certificates_moved": "certificates",
}


def upgrade() -> None:
    op.create_table(
        "regrouped",
        sa.Column("lineage_id", sa.String(100), nullable=False),
        sa.Column("marks", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("lineage_id"),
    )
    op.create_table(
        "lineage_groups",
        sa.Column("lineage_id", sa.String(100), nullable=False),
        sa.Column("group_id", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("lineage_id", "group_id"),
    )
    for statement in _POSTGRESQL if _is_postgresql() else _SQLITE:
        op.execute(statement)
    op.execute(
        "INSERT INTO regrouped (lineage_id, marks) SELECT DISTINCT c.lineage_id, 1 FROM certificates c "
        "JOIN group_members m ON m.fingerprint = c.fingerprint"
    )


def downgrade() -> None:
    for trigger, table in _TRIGGERS.items():
        op.execute(f"DROP TRIGGER {trigger} ON {table}" if _is_postgresql() else f"DROP TRIGGER {trigger}")
    if _is_postgresql():
        op.execute("DROP FUNCTION mark_regrouped()")
        op.execute("DROP FUNCTION mark_moved()")
    op.drop_table("lineage_groups")
    op.drop_table("regrouped")


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"
