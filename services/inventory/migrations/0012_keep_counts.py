"""Keep counts, so that nobody counts a million rows to show a number. On SQLite there are few, and they are counted when asked.

Triggers write down by how much each write changes a count (`tally_changes`): a row of its own, so that writers never wait for
each other, and in the same transaction, so that it is exact whoever writes. `store/tallies.py` adds them up.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# What is counted of a certificate: kinds of facts, each with a value.
_FACTS = (
    """
    CREATE FUNCTION certificate_facts(c certificates, is_managed boolean) RETURNS TABLE (what text, value text)
    LANGUAGE sql STABLE AS $$
        SELECT fact.what, fact.value FROM (VALUES
            ('all', NULL, true),
            ('issuer', c.issuer, true),
            ('key.type', c.key_type, true),
            ('key.size', CAST(c.key_bits AS text), true),
            ('signature', c.signature_algorithm, true),
            ('ca', CAST(c.is_ca AS text), true),
            ('self_issued', CAST(c.is_self_issued AS text), true),
            ('readable', CAST(c.finding IS NULL AS text), true),
            ('current', CAST(c.is_current AS text), true),
            ('urgency', c.urgency, true),
            ('renewal', CAST(c.is_from_renewal AS text), true),
            ('owner', c.owner_id, true),
            ('unowned', NULL, c.is_current AND c.owner_id IS NULL),
            ('managed', CAST(is_managed AS text), c.is_current),
            (CASE WHEN is_managed THEN 'ends.managed' ELSE 'ends' END,
                to_char(c.not_after AT TIME ZONE 'UTC', 'YYYY-MM-DD'), c.is_current AND c.not_after IS NOT NULL)
        ) AS fact (what, value, is_so) WHERE fact.is_so
    $$
    """,
    """
    CREATE FUNCTION place_facts(place text) RETURNS TABLE (what text, value text) LANGUAGE sql STABLE AS $$
        SELECT 'place', kind || '|' || coalesce(CAST(port AS text), '') || '|' || coalesce(starttls, '')
        FROM places WHERE id = place
        UNION ALL SELECT 'flaw', flaw FROM flaws WHERE place_id = place AND ended_at IS NULL
    $$
    """,
    # The same of all, to be counted from the beginning, or of one certificate.
    """
    CREATE VIEW facts AS
    SELECT fingerprint, f.what, f.value
    FROM certificates c JOIN lineages l ON l.id = c.lineage_id CROSS JOIN LATERAL certificate_facts(c, l.is_managed) f
    UNION ALL
    SELECT fingerprint, 'place', kind || '|' || coalesce(CAST(port AS text), '') || '|' || coalesce(starttls, '')
    FROM sightings JOIN places ON id = place_id WHERE fingerprint IS NOT NULL
    UNION ALL
    SELECT fingerprint, 'flaw', flaw FROM sightings JOIN flaws USING (place_id)
    WHERE fingerprint IS NOT NULL AND ended_at IS NULL
    UNION ALL
    SELECT fingerprint, 'grade', grade FROM assessments WHERE assessed_at IS NOT NULL
    UNION ALL
    SELECT fingerprint, 'pq', pq_key_exchange FROM assessments WHERE assessed_at IS NOT NULL
    UNION ALL
    SELECT fingerprint, 'verdict', verdict || '|' || policy_id FROM verdicts
    UNION ALL
    SELECT fingerprint, 'finding', severity || '|' || rule FROM findings
    UNION ALL
    SELECT NULL, 'lost', NULL FROM sightings WHERE fingerprint IS NULL
    UNION ALL
    SELECT NULL, 'replacement', state FROM replacements
    """,
)
_FUNCTIONS = (
    # A certificate's row says whether it is in use, its lineage's who renews it: held until the transaction ends, so that
    # of two who change one each the later counts with what the earlier has written.
    """
    CREATE FUNCTION tally_certificates() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO tally_changes (what, value, delta)
        SELECT f.what, f.value, count(*) FROM (
            SELECT c, l.is_managed FROM changed JOIN certificates c USING (fingerprint)
            JOIN lineages l ON l.id = c.lineage_id ORDER BY l.id FOR SHARE OF l
        ) AS came CROSS JOIN LATERAL certificate_facts(came.c, came.is_managed) f
        GROUP BY f.what, f.value;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION tally_certificate() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE was_managed boolean; managed boolean;
    BEGIN
        SELECT is_managed INTO was_managed FROM lineages WHERE id = OLD.lineage_id FOR SHARE;
        SELECT is_managed INTO managed FROM lineages WHERE id = NEW.lineage_id FOR SHARE;
        INSERT INTO tally_changes (fingerprint, what, value, delta)
        SELECT OLD.fingerprint, what, value, sum(delta) FROM (
            SELECT what, value, -1 AS delta FROM certificate_facts(OLD, was_managed)
            UNION ALL SELECT what, value, 1 FROM certificate_facts(NEW, managed) WHERE TG_OP = 'UPDATE'
        ) AS differences GROUP BY what, value HAVING sum(delta) <> 0;
        IF OLD.is_current IS DISTINCT FROM NEW.is_current THEN
            INSERT INTO tally_changes (group_id, fingerprint, delta)
            VALUES (' current', OLD.fingerprint, CASE WHEN NEW.is_current THEN 1 ELSE -1 END);
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION tally_lineage() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO tally_changes (fingerprint, what, value, delta)
        SELECT c.fingerprint, f.what, f.value, sum(f.delta) FROM certificates c CROSS JOIN LATERAL (
            SELECT what, value, -1 AS delta FROM certificate_facts(c, OLD.is_managed)
            UNION ALL SELECT what, value, 1 FROM certificate_facts(c, NEW.is_managed)
        ) f
        WHERE c.lineage_id = NEW.id GROUP BY c.fingerprint, f.what, f.value HAVING sum(f.delta) <> 0;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION tally_members() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO tally_changes (group_id, fingerprint, delta)
        SELECT group_id, fingerprint, CASE WHEN TG_OP = 'INSERT' THEN 1 ELSE -1 END FROM changed;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION tally_sightings() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO tally_changes (fingerprint, what, value, delta)
        SELECT s.fingerprint, f.what, f.value, 1 FROM changed s CROSS JOIN LATERAL place_facts(s.place_id) f
        WHERE s.fingerprint IS NOT NULL
        UNION ALL SELECT NULL, 'lost', NULL, 1 FROM changed WHERE fingerprint IS NULL;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION tally_sighting() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO tally_changes (fingerprint, what, value, delta)
        SELECT side.fingerprint, f.what, f.value, side.delta
        FROM (VALUES (OLD.fingerprint, -1), (NEW.fingerprint, 1)) AS side (fingerprint, delta)
        CROSS JOIN LATERAL place_facts(OLD.place_id) f WHERE side.fingerprint IS NOT NULL;
        IF OLD.fingerprint IS NULL THEN
            INSERT INTO tally_changes (what, delta) VALUES ('lost', -1);
        ELSIF TG_OP = 'UPDATE' AND NEW.fingerprint IS NULL THEN
            INSERT INTO tally_changes (what, delta) VALUES ('lost', 1);
        END IF;
        RETURN NULL;
    END $$
    """,
    # What is there is held: who changes it meanwhile counts with this flaw.
    """
    CREATE FUNCTION tally_flaw() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE what_was text; there text; is_open boolean;
    BEGIN
        what_was := CASE WHEN TG_OP = 'DELETE' THEN OLD.flaw ELSE NEW.flaw END;
        is_open := TG_OP <> 'DELETE' AND NEW.ended_at IS NULL;
        SELECT fingerprint INTO there FROM sightings
        WHERE place_id = CASE WHEN TG_OP = 'DELETE' THEN OLD.place_id ELSE NEW.place_id END FOR SHARE;
        IF there IS NOT NULL THEN
            INSERT INTO tally_changes (fingerprint, what, value, delta)
            VALUES (there, 'flaw', what_was, CASE WHEN is_open THEN 1 ELSE -1 END);
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION tally_assessment() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'INSERT' AND OLD.assessed_at IS NOT NULL THEN
            INSERT INTO tally_changes (fingerprint, what, value, delta)
            VALUES (OLD.fingerprint, 'grade', OLD.grade, -1), (OLD.fingerprint, 'pq', OLD.pq_key_exchange, -1);
        END IF;
        IF TG_OP <> 'DELETE' AND NEW.assessed_at IS NOT NULL THEN
            INSERT INTO tally_changes (fingerprint, what, value, delta)
            VALUES (NEW.fingerprint, 'grade', NEW.grade, 1), (NEW.fingerprint, 'pq', NEW.pq_key_exchange, 1);
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION tally_verdict() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'INSERT' THEN
            INSERT INTO tally_changes (fingerprint, what, value, delta)
            VALUES (OLD.fingerprint, 'verdict', OLD.verdict || '|' || OLD.policy_id, -1);
        END IF;
        IF TG_OP <> 'DELETE' THEN
            INSERT INTO tally_changes (fingerprint, what, value, delta)
            VALUES (NEW.fingerprint, 'verdict', NEW.verdict || '|' || NEW.policy_id, 1);
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION tally_finding() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'INSERT' THEN
            INSERT INTO tally_changes (fingerprint, what, value, delta)
            VALUES (OLD.fingerprint, 'finding', OLD.severity || '|' || OLD.rule, -1);
        END IF;
        IF TG_OP <> 'DELETE' THEN
            INSERT INTO tally_changes (fingerprint, what, value, delta)
            VALUES (NEW.fingerprint, 'finding', NEW.severity || '|' || NEW.rule, 1);
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION tally_replacement() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'INSERT' THEN
            INSERT INTO tally_changes (what, value, delta) VALUES ('replacement', OLD.state, -1);
        END IF;
        IF TG_OP <> 'DELETE' THEN
            INSERT INTO tally_changes (what, value, delta) VALUES ('replacement', NEW.state, 1);
        END IF;
        RETURN NULL;
    END $$
    """,
    # From the beginning; whoever calls it keeps others from writing meanwhile.
    """
    CREATE FUNCTION count_tallies() RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        TRUNCATE tally_changes, tallies;
        INSERT INTO tallies (group_id, what, digest, value, number)
        SELECT group_id, what, tally_digest(value), value, sum(number) FROM (
            SELECT '' AS group_id, what, value, count(*) AS number FROM facts GROUP BY what, value
            UNION ALL
            SELECT group_id, what, value, count(*) FROM group_members JOIN facts USING (fingerprint)
            GROUP BY group_id, what, value
            UNION ALL
            SELECT ' current', 'finding', severity || '|' || rule, count(*)
            FROM findings JOIN certificates USING (fingerprint) WHERE is_current GROUP BY severity, rule
        ) AS counted GROUP BY group_id, what, value;
    END $$
    """,
)
_DIGEST = """
    CREATE FUNCTION tally_digest(value text) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    $$SELECT CASE WHEN value IS NULL THEN CAST('' AS bytea) ELSE sha256(convert_to(value, 'UTF8')) END$$
"""
_CHANGED_CERTIFICATE = (
    "lineage_id",
    "issuer",
    "key_type",
    "key_bits",
    "signature_algorithm",
    "is_ca",
    "is_self_issued",
    "finding",
    "is_current",
    "urgency",
    "is_from_renewal",
    "owner_id",
    "not_after",
)
_OPENED_OR_ENDED = "(OLD.ended_at IS NULL) <> (NEW.ended_at IS NULL)"
_OF_STATEMENTS = (
    ("certificates", "came", "INSERT", "NEW", "tally_certificates"),
    ("group_members", "joined", "INSERT", "NEW", "tally_members"),
    ("group_members", "left", "DELETE", "OLD", "tally_members"),
    ("sightings", "came", "INSERT", "NEW", "tally_sightings"),
)


def _of_statement(table: str, event: str, rows: str, function: str) -> str:
    return f"{event} ON {table} REFERENCING {rows} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION {function}()"


def _of_row(
    table: str,
    function: str,
    *,
    columns: tuple[str, ...],
    insert: bool = True,
    delete: bool = True,
    counts: str = "true",
) -> list[tuple[str, str, str]]:
    """Return triggers that are called for each row: of new ones for those that count, of others where one of the columns changed."""
    execute = f"EXECUTE FUNCTION {function}()"
    differs = " OR ".join(f"OLD.{each} IS DISTINCT FROM NEW.{each}" for each in columns)
    changed = f"UPDATE OF {', '.join(columns)} ON {table} FOR EACH ROW WHEN ({differs}) {execute}"
    made = [(table, "changed", changed)]
    if insert:
        made.append((table, "came", f"INSERT ON {table} FOR EACH ROW WHEN ({counts}) {execute}"))
    if delete:
        made.append((table, "gone", f"DELETE ON {table} FOR EACH ROW {execute}"))
    return made


def _triggers() -> list[tuple[str, str, str]]:
    return [
        *((table, name, _of_statement(table, *of)) for table, name, *of in _OF_STATEMENTS),
        *_of_row("certificates", "tally_certificate", columns=_CHANGED_CERTIFICATE, insert=False),
        *_of_row("lineages", "tally_lineage", columns=("is_managed",), insert=False, delete=False),
        *_of_row("sightings", "tally_sighting", columns=("fingerprint",), insert=False),
        (
            "flaws",
            "came",
            "INSERT ON flaws FOR EACH ROW WHEN (NEW.ended_at IS NULL) EXECUTE FUNCTION tally_flaw()",
        ),
        (
            "flaws",
            "changed",
            f"UPDATE OF ended_at ON flaws FOR EACH ROW WHEN ({_OPENED_OR_ENDED}) EXECUTE FUNCTION tally_flaw()",
        ),
        (
            "flaws",
            "gone",
            "DELETE ON flaws FOR EACH ROW WHEN (OLD.ended_at IS NULL) EXECUTE FUNCTION tally_flaw()",
        ),
        *_of_row(
            "assessments",
            "tally_assessment",
            columns=("fingerprint", "grade", "pq_key_exchange", "assessed_at"),
            counts="NEW.assessed_at IS NOT NULL",
        ),
        *_of_row("verdicts", "tally_verdict", columns=("fingerprint", "verdict")),
        *_of_row("findings", "tally_finding", columns=("severity",)),
        *_of_row("replacements", "tally_replacement", columns=("state",)),
    ]


def upgrade() -> None:
    _create_tables()
    if not _is_postgresql():
        return
    op.execute(_DIGEST)
    for statement in (*_FACTS, *_FUNCTIONS):
        op.execute(statement)
    # This keeps others from writing until the transaction ends, and what there is is counted.
    for table, name, words in _triggers():
        op.execute(f"CREATE TRIGGER tally_{table}_{name} AFTER {words}")
    op.execute("SELECT count_tallies()")


def _create_tables() -> None:
    op.create_table(
        "tallies",
        sa.Column("group_id", sa.String(100), nullable=False),
        sa.Column("what", sa.String(20), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("group_id", "what", "digest"),
    )
    op.create_table(
        "tally_changes",
        sa.Column("group_id", sa.String(100), nullable=True),
        sa.Column("fingerprint", sa.String(64), nullable=True),
        sa.Column("what", sa.String(20), nullable=True),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("delta", sa.Integer(), nullable=False),
    )
    # By these a certificate's share is found when it comes into a group.
    op.create_index("ix_assessments_fingerprint", "assessments", ["fingerprint"])
    _replace_index("urgency", ["urgency", "not_after", "id"], where="urgency IS NOT NULL")
    _create_index(
        "current", ["not_after", "id"], where=f"is_current IS {'TRUE' if _is_postgresql() else '1'}"
    )
    if _is_postgresql():
        # Rows live for a second: what they leave is cleared away as soon as somebody looks.
        op.execute(
            "ALTER TABLE tally_changes SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, "
            "autovacuum_vacuum_cost_delay = 0)"
        )


def _replace_index(name: str, columns: list[str], *, where: str) -> None:
    op.drop_index(f"ix_certificates_{name}", "certificates")
    _create_index(name, columns, where=where)


def _create_index(name: str, columns: list[str], *, where: str) -> None:
    condition = sa.text(where)
    op.create_index(
        f"ix_certificates_{name}",
        "certificates",
        columns,
        sqlite_where=condition,
        postgresql_where=condition,
    )


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def downgrade() -> None:
    if _is_postgresql():
        for table, name, _words in _triggers():
            op.execute(f"DROP TRIGGER tally_{table}_{name} ON {table}")
        for function in (
            "tally_certificates",
            "tally_certificate",
            "tally_lineage",
            "tally_members",
            "tally_sightings",
            "tally_sighting",
            "tally_flaw",
            "tally_assessment",
            "tally_verdict",
            "tally_finding",
            "tally_replacement",
            "count_tallies",
        ):
            op.execute(f"DROP FUNCTION {function}()")
        op.execute("DROP VIEW facts")
        op.execute("DROP FUNCTION place_facts(text)")
        op.execute("DROP FUNCTION certificate_facts(certificates, boolean)")
        op.execute("DROP FUNCTION tally_digest(text)")
    op.drop_index("ix_assessments_fingerprint", "assessments")
    op.drop_index("ix_certificates_current", "certificates")
    _replace_index("urgency", ["urgency", "id"], where="urgency IS NOT NULL")
    op.drop_table("tally_changes")
    op.drop_table("tallies")
