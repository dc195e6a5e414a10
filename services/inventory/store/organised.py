"""The tables of who owns what: teams, groups, tags, custom fields, assignment rules and edits of many at once."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field

from services.inventory.store.tables import Table
from shared.store import Instant, Json

PERSON = 110
"""The width of who did something: a kind and a name, as `person:ada`."""


class TeamRow(Table, table=True):
    """A team that certificates belong to; the id is a slug that people choose."""

    __tablename__ = "teams"

    id: str = Field(primary_key=True, max_length=100)
    name: str = Field(max_length=200, unique=True)
    contacts: list[dict[str, Any]] = Field(sa_type=Json)
    """Each as `{"kind", "value"}`, the first one first asked."""
    deputy_id: str | None = Field(default=None, max_length=100, index=True)
    """The team that stands in."""
    deputy_contact: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """The contact that stands in, where that is no team."""
    version: int = 1
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)


class GroupRow(Table, table=True):
    """A set of certificates; the id is a slug that people choose."""

    __tablename__ = "groups"

    id: str = Field(primary_key=True, max_length=100)
    name: str = Field(max_length=200)
    description: str = Field(default="", sa_type=sa.Text)
    kind: str = Field(max_length=10)
    """`hand` or `rule`."""
    rule: str | None = Field(default=None, sa_type=sa.Text)
    reevaluate_at: datetime | None = Field(default=None, sa_type=Instant, index=True)
    """When a worker goes through all certificates again; empty where only changes matter."""
    cursor: str | None = Field(default=None, max_length=64)
    """How far it has come: the last fingerprint."""
    evaluated_at: datetime | None = Field(default=None, sa_type=Instant)
    """When all certificates were last gone through to the end."""
    version: int = 1
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)


class GroupMember(Table, table=True):
    """A certificate that is in a group: put there by hand, or matched by the group's rule."""

    __tablename__ = "group_members"

    group_id: str = Field(primary_key=True, max_length=100)
    fingerprint: str = Field(primary_key=True, max_length=64, index=True)


class CertificateTag(Table, table=True):
    """A tag on a certificate."""

    __tablename__ = "certificate_tags"
    __table_args__ = (sa.Index("ix_certificate_tags_tag", "tag", "fingerprint"),)

    fingerprint: str = Field(primary_key=True, max_length=64)
    tag: str = Field(primary_key=True, max_length=100)


class FieldRow(Table, table=True):
    """A custom field that certificates may have a value for."""

    __tablename__ = "fields"

    name: str = Field(primary_key=True, max_length=50)
    kind: str = Field(max_length=10)
    """`text`, `number`, `date`, `choice` or `boolean`."""
    description: str = Field(default="", sa_type=sa.Text)
    is_required: bool = False
    choices: list[str] = Field(sa_type=Json)
    version: int = 1
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)


class FieldValue(Table, table=True):
    """The value of a custom field on a certificate; a number is kept as one beside its text."""

    __tablename__ = "certificate_fields"
    __table_args__ = (
        sa.Index("ix_certificate_fields_text", "name", "text"),
        sa.Index("ix_certificate_fields_number", "name", "number"),
    )

    fingerprint: str = Field(primary_key=True, max_length=64)
    name: str = Field(primary_key=True, max_length=50)
    text: str = Field(max_length=500)
    """A date as `2026-11-27`, a boolean as `true` or `false`."""
    number: float | None = None


class AssignmentRule(Table, table=True):
    """Says to whom certificates belong that a query matches, and which groups and tags they get."""

    __tablename__ = "assignment_rules"

    id: str = Field(primary_key=True, max_length=36)
    position: int = Field(index=True)
    """Lower ones are asked first."""
    name: str = Field(max_length=200)
    query: str = Field(sa_type=sa.Text)
    owner_id: str | None = Field(default=None, max_length=100, index=True)
    add_groups: list[str] = Field(sa_type=Json)
    add_tags: list[str] = Field(sa_type=Json)
    is_overriding: bool = False
    """Whether its owner replaces one that a person has set."""
    is_enabled: bool = True
    version: int = 1
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)


class EditRow(Table, table=True):
    """An edit of many certificates, worked off in batches; matched = changed + unchanged + refused."""

    __tablename__ = "edits"

    id: str = Field(primary_key=True, max_length=36)
    query: str | None = Field(default=None, sa_type=sa.Text)
    fingerprints: list[str] | None = Field(default=None, sa_type=Json)
    """In order; empty where a query says which."""
    changes: dict[str, Any] = Field(sa_type=Json)
    scope: list[str] | None = Field(default=None, sa_type=Json)
    """The groups that the asker is limited to; empty for none."""
    state: str = Field(max_length=10)
    """`running`, `done` or `failed`."""
    due_at: datetime | None = Field(default=None, sa_type=Instant, index=True)
    """When a worker goes on with it; empty where it is over."""
    cursor: str | None = Field(default=None, max_length=64)
    matched: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    reasons: dict[str, int] = Field(sa_type=Json)
    """Why some were refused, and how many."""
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)
    ended_at: datetime | None = Field(default=None, sa_type=Instant)


class UnownedRow(Table, table=True):
    """Since when there are current certificates that nobody owns, and what was told of it: one row."""

    __tablename__ = "unowned"

    id: int = Field(primary_key=True)
    since: datetime | None = Field(default=None, sa_type=Instant)
    told_at: datetime | None = Field(default=None, sa_type=Instant)
    """Empty where nobody was told, or that it is over."""
    told_count: int = 0
