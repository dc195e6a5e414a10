"""Say who owns what: teams, groups, tags, custom fields, assignment rules, edits of many at once."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import shared.store.columns

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TABLES = (
    "unowned",
    "edits",
    "assignment_rules",
    "certificate_fields",
    "fields",
    "certificate_tags",
    "group_members",
    "groups",
    "teams",
)


def upgrade() -> None:
    _own()
    _create_teams()
    _create_groups()
    _create_tags_and_fields()
    _create_rules_and_edits()


def _own() -> None:
    op.add_column(
        "lineages", sa.Column("is_managed", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("lineages", sa.Column("managed_told_at", _instant(), nullable=True))
    op.add_column("certificates", sa.Column("owner_id", _text(100), nullable=True))
    op.add_column("certificates", sa.Column("owner_set_by", _text(110), nullable=True))
    op.create_index("ix_certificates_owner_id", "certificates", ["owner_id"])
    op.create_index(
        "ix_certificates_unowned",
        "certificates",
        ["fingerprint"],
        sqlite_where=sa.text("owner_id IS NULL AND is_current = 1"),
        postgresql_where=sa.text("owner_id IS NULL AND is_current"),
    )


def _create_teams() -> None:
    op.create_table(
        "teams",
        sa.Column("id", _text(100), nullable=False),
        sa.Column("name", _text(200), nullable=False),
        sa.Column("contacts", _json(), nullable=False),
        sa.Column("deputy_id", _text(100), nullable=True),
        sa.Column("deputy_contact", _json(), nullable=True),
        *_authored(),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_index("ix_teams_deputy_id", "teams", ["deputy_id"])


def _create_groups() -> None:
    op.create_table(
        "groups",
        sa.Column("id", _text(100), nullable=False),
        sa.Column("name", _text(200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("kind", _text(10), nullable=False),
        sa.Column("rule", sa.Text(), nullable=True),
        sa.Column("reevaluate_at", _instant(), nullable=True),
        sa.Column("cursor", _text(64), nullable=True),
        sa.Column("evaluated_at", _instant(), nullable=True),
        *_authored(),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_groups_reevaluate_at", "groups", ["reevaluate_at"])
    op.create_table(
        "group_members",
        sa.Column("group_id", _text(100), nullable=False),
        sa.Column("fingerprint", _text(64), nullable=False),
        sa.PrimaryKeyConstraint("group_id", "fingerprint"),
    )
    op.create_index("ix_group_members_fingerprint", "group_members", ["fingerprint"])


def _create_tags_and_fields() -> None:
    op.create_table(
        "certificate_tags",
        sa.Column("fingerprint", _text(64), nullable=False),
        sa.Column("tag", _text(100), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", "tag"),
    )
    op.create_index("ix_certificate_tags_tag", "certificate_tags", ["tag", "fingerprint"])
    op.create_table(
        "fields",
        sa.Column("name", _text(50), nullable=False),
        sa.Column("kind", _text(10), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("is_required", sa.Boolean(), nullable=False),
        sa.Column("choices", _json(), nullable=False),
        *_authored(),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "certificate_fields",
        sa.Column("fingerprint", _text(64), nullable=False),
        sa.Column("name", _text(50), nullable=False),
        sa.Column("text", _text(500), nullable=False),
        sa.Column("number", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("fingerprint", "name"),
    )
    op.create_index("ix_certificate_fields_text", "certificate_fields", ["name", "text"])
    op.create_index("ix_certificate_fields_number", "certificate_fields", ["name", "number"])


def _create_rules_and_edits() -> None:
    op.create_table(
        "assignment_rules",
        sa.Column("id", _text(36), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", _text(200), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("owner_id", _text(100), nullable=True),
        sa.Column("add_groups", _json(), nullable=False),
        sa.Column("add_tags", _json(), nullable=False),
        sa.Column("is_overriding", sa.Boolean(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        *_authored(),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_assignment_rules_position", "assignment_rules", ["position"])
    op.create_index("ix_assignment_rules_owner_id", "assignment_rules", ["owner_id"])
    op.create_table(
        "edits",
        sa.Column("id", _text(36), nullable=False),
        sa.Column("query", sa.Text(), nullable=True),
        sa.Column("fingerprints", _json(), nullable=True),
        sa.Column("changes", _json(), nullable=False),
        sa.Column("scope", _json(), nullable=True),
        sa.Column("state", _text(10), nullable=False),
        sa.Column("due_at", _instant(), nullable=True),
        sa.Column("cursor", _text(64), nullable=True),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in ("matched", "changed", "unchanged", "refused")
        ),
        sa.Column("reasons", _json(), nullable=False),
        sa.Column("created_at", _instant(), nullable=False),
        sa.Column("created_by", _text(100), nullable=False),
        sa.Column("ended_at", _instant(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_edits_due_at", "edits", ["due_at"])
    op.create_table(
        "unowned",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("since", _instant(), nullable=True),
        sa.Column("told_at", _instant(), nullable=True),
        sa.Column("told_count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _authored() -> list[sa.Column[object]]:
    return [
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", _instant(), nullable=False),
        sa.Column("created_by", _text(100), nullable=False),
    ]


def _text(length: int) -> sqlmodel.sql.sqltypes.AutoString:
    return sqlmodel.sql.sqltypes.AutoString(length=length)


def _instant() -> shared.store.columns.Instant:
    return shared.store.columns.Instant(timezone=True)


def _json() -> shared.store.columns.Json:
    return shared.store.columns.Json()


def downgrade() -> None:
    for table in _TABLES:
        op.drop_table(table)
    op.drop_index("ix_certificates_unowned", "certificates")
    op.drop_index("ix_certificates_owner_id", "certificates")
    for column in ("owner_set_by", "owner_id"):
        op.drop_column("certificates", column)
    for column in ("managed_told_at", "is_managed"):
        op.drop_column("lineages", column)
