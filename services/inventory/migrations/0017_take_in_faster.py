"""Write what is new at less cost: count it from the rows themselves, and don't look for each name's certificate again.

The trigger looked for the new rows in the table, by a plan that a session makes once and keeps: where it was made while the
table was small, that was a scan of the whole table for each batch, ever after. Names are written in the same transaction as
their certificate, which is never deleted, so that to look for it once for each of them could find nothing wrong.
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_NAMING = {"fk": "fk_%(table_name)s_%(column_0_name)s"}
"""What the constraint is called, which has no name in SQLite."""

# By their keys only: plans are kept, and a plan for a small table is none for a large one.
_COUNTED = """
    CREATE OR REPLACE FUNCTION tally_certificates() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
    BEGIN
        PERFORM FROM lineages WHERE id = ANY (ARRAY (SELECT lineage_id FROM changed)) ORDER BY id FOR SHARE;
        INSERT INTO tally_changes (what, value, delta)
        SELECT f.what, f.value, count(*)
        FROM changed c JOIN lineages l ON l.id = c.lineage_id
        CROSS JOIN LATERAL certificate_facts(ROW(c.*)::certificates, l.is_managed) f
        GROUP BY f.what, f.value;
        RETURN NULL;
    END $$
"""
_COUNTED_BEFORE = """
    CREATE OR REPLACE FUNCTION tally_certificates() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO tally_changes (what, value, delta)
        SELECT f.what, f.value, count(*) FROM (
            SELECT c, l.is_managed FROM changed JOIN certificates c USING (fingerprint)
            JOIN lineages l ON l.id = c.lineage_id ORDER BY l.id FOR SHARE OF l
        ) AS came CROSS JOIN LATERAL certificate_facts(came.c, came.is_managed) f
        GROUP BY f.what, f.value;
        RETURN NULL;
    END $$
"""


def upgrade() -> None:
    if _is_postgresql():
        op.execute(_COUNTED)
        op.drop_constraint("certificate_names_fingerprint_fkey", "certificate_names", type_="foreignkey")
        return
    with op.batch_alter_table("certificate_names", naming_convention=_NAMING) as batch_op:
        batch_op.drop_constraint("fk_certificate_names_fingerprint", type_="foreignkey")


def downgrade() -> None:
    if _is_postgresql():
        op.execute(_COUNTED_BEFORE)
    with op.batch_alter_table("certificate_names") as batch_op:
        batch_op.create_foreign_key(
            "certificate_names_fingerprint_fkey", "certificates", ["fingerprint"], ["fingerprint"]
        )


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"
