"""The tables of assessment: what is known of TLS, letters, policies and their verdicts, exceptions."""

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field

from services.inventory.store.tables import Table
from shared.store import Instant, Json


class PlaceTlsRow(Table, table=True):
    """How a place speaks TLS: as the last look at depth `full` has found it, and what was negotiated last."""

    __tablename__ = "place_tls"

    place_id: str = Field(primary_key=True, max_length=32)
    facts: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """As `shared.events.discovery.TlsFacts`."""
    facts_digest: int | None = Field(default=None, sa_type=sa.BigInteger)
    facts_at: datetime | None = Field(default=None, sa_type=Instant)
    """When they were seen first; that they were seen again is not written."""
    version: str | None = Field(default=None, max_length=20)
    suite: str | None = Field(default=None, max_length=100)
    group: str | None = Field(default=None, max_length=50)
    negotiated_at: datetime | None = Field(default=None, sa_type=Instant)


class TraitsRow(Table, table=True):
    """What assessment needs of a certificate beside what is kept anyway."""

    __tablename__ = "certificate_traits"

    fingerprint: str = Field(primary_key=True, max_length=64)
    is_read: bool = False
    """Whether the bytes were looked at."""
    is_public: bool | None = None
    rsa_exponent: int | None = None
    """One that is larger than 2^31 - 1 counts as that."""
    is_trusted: bool | None = None
    is_revoked: bool | None = None
    is_chain_complete: bool | None = None


class AssessmentRow(Table, table=True):
    """How good a place is, and when it is to be judged again."""

    __tablename__ = "assessments"
    __table_args__ = (sa.Index("ix_assessments_grade", "grade", "place_id"),)

    place_id: str = Field(primary_key=True, max_length=32)
    due_at: datetime | None = Field(default=None, sa_type=Instant, index=True)
    """When it is to be judged: at once where something has changed, else when a date makes a difference."""
    fingerprint: str | None = Field(default=None, max_length=64, index=True)
    grade: str | None = Field(default=None, max_length=2)
    score: float | None = None
    details: dict[str, Any] = Field(sa_type=Json)
    """Scores, reasons and what was not checked."""
    pq_key_exchange: str | None = Field(default=None, max_length=20)
    pq_signature: str | None = Field(default=None, max_length=20)
    pq_after: date | None = None
    """The last day on which what is in use is allowed by all timelines."""
    rules: str | None = Field(default=None, max_length=60)
    """The version of the rules that were applied."""
    assessed_at: datetime | None = Field(default=None, sa_type=Instant)


class PolicyRow(Table, table=True):
    """A policy: one that comes with the program, or the organisation's own."""

    __tablename__ = "policies"

    id: str = Field(primary_key=True, max_length=60)
    title: str = Field(max_length=200)
    is_builtin: bool = False
    is_enabled: bool = False
    version: int = 1
    document: dict[str, Any] = Field(sa_type=Json)
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)
    updated_at: datetime = Field(sa_type=Instant)
    updated_by: str = Field(max_length=100)


class VerdictRow(Table, table=True):
    """What came of a policy that is on at a place."""

    __tablename__ = "verdicts"
    __table_args__ = (
        sa.Index("ix_verdicts_lineage", "policy_id", "lineage_id"),
        sa.Index("ix_verdicts_verdict", "policy_id", "verdict", "place_id"),
        sa.Index("ix_verdicts_fingerprint", "fingerprint", "policy_id"),
    )

    policy_id: str = Field(primary_key=True, max_length=60)
    place_id: str = Field(primary_key=True, max_length=32, index=True)
    fingerprint: str = Field(max_length=64)
    lineage_id: str = Field(max_length=100)
    policy_version: int
    verdict: str = Field(max_length=10)
    is_by_exception: bool = False
    standing: str = Field(default="", sa_type=sa.Text)
    """Ids of the rules that are broken, with commas; also of those that were, and of which nothing is known now."""
    details: dict[str, Any] = Field(sa_type=Json)
    """What was not passed, rule by rule."""
    since: datetime = Field(sa_type=Instant)


class NoncomplianceRow(Table, table=True):
    """That a lineage breaks a policy, as it was told."""

    __tablename__ = "noncompliance"

    policy_id: str = Field(primary_key=True, max_length=60)
    lineage_id: str = Field(primary_key=True, max_length=100)
    broken: str = Field(sa_type=sa.Text)
    """Ids of the rules, with commas."""
    told_at: datetime = Field(sa_type=Instant)


class ExceptionRow(Table, table=True):
    """That a broken rule is let pass, asked for by one and approved by another."""

    __tablename__ = "exceptions"

    id: str = Field(primary_key=True, max_length=36)
    policy_id: str = Field(max_length=60, index=True)
    rule_id: str = Field(max_length=60)
    scope: str = Field(max_length=20)
    scope_value: str = Field(sa_type=sa.Text)
    reason: str = Field(sa_type=sa.Text)
    ends_at: datetime = Field(sa_type=Instant, index=True)
    state: str = Field(max_length=20)
    requested_by: str = Field(max_length=100)
    requested_by_name: str = Field(max_length=200)
    requested_at: datetime = Field(sa_type=Instant)
    decided_by: str | None = Field(default=None, max_length=100)
    decided_by_name: str | None = Field(default=None, max_length=200)
    decided_at: datetime | None = Field(default=None, sa_type=Instant)
    version: int = 1
