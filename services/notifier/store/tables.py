"""The tables of the notifier."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from shared.store import Instant, Json, Sealed
from shared.store.scopes import ToldGroups


class Table(SQLModel, registry=registry()):
    """What all tables of this service belong to."""


SUBJECTS = ToldGroups(Table.metadata)
"""The groups of what alerts are about: of a lineage, or of a subject that has none."""


class Channel(Table, table=True):
    """One way to tell somebody."""

    __tablename__ = "channels"

    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(max_length=200, unique=True)
    kind: str = Field(max_length=50)
    options: dict[str, Any] = Field(sa_type=Json)
    secrets: bytes = Field(sa_type=Sealed)
    """A JSON document, sealed."""
    enabled: bool
    disabled_because: str | None = Field(default=None, sa_type=sa.Text)
    """Why the notifier itself turned it off."""
    rests_until: datetime | None = Field(default=None, sa_type=Instant)
    """Nothing is sent before: to keep its pace, or because the other side has asked for it."""
    groups: list[str] = Field(default_factory=list, sa_type=Json)
    """It is told of what is in one of them only; where there are none, of everything."""
    version: int = 1
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)
    updated_at: datetime = Field(sa_type=Instant)


class Rule(Table, table=True):
    """Which alerts are told through which channels."""

    __tablename__ = "rules"

    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(max_length=200, unique=True)
    min_severity: str = Field(max_length=20)
    problems: list[str] = Field(sa_type=Json)
    """Empty: all."""
    channels: list[str] | None = Field(default=None, sa_type=Json)
    """Ids; null: every enabled channel."""
    groups: list[str] = Field(default_factory=list, sa_type=Json)
    """It is for alerts in one of them only; where there are none, for all."""
    plan: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    """What it says beside, as `domain.plans.Plan` reads it."""
    version: int = 1
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)
    updated_at: datetime = Field(sa_type=Instant)


class Subject(Table, table=True):
    """What alerts are about. Its row is what transactions about one subject wait for one another at."""

    __tablename__ = "subjects"

    id: str = Field(primary_key=True, max_length=100)
    name: str | None = Field(default=None, max_length=300)
    """What people call it, once an event has said it."""
    touched_at: datetime = Field(sa_type=Instant)


class Alert(Table, table=True):
    """A problem of a subject, from its first evidence to the observation that it is over."""

    __tablename__ = "alerts"
    __table_args__ = (
        sa.Index(
            "uq_alerts_open",
            "subject",
            "problem",
            unique=True,
            sqlite_where=sa.text("state = 'open'"),
            postgresql_where=sa.text("state = 'open'"),
        ),
    )

    id: str = Field(primary_key=True, max_length=36)
    subject: str = Field(max_length=100, index=True)
    lineage_id: str | None = Field(default=None, max_length=100, index=True)
    fingerprint: str | None = Field(default=None, max_length=64)
    problem: str = Field(max_length=30)
    severity: str = Field(max_length=20)
    summary: str = Field(sa_type=sa.Text)
    details: dict[str, Any] = Field(sa_type=Json)
    state: str = Field(max_length=20, index=True)
    turns: int = 0
    """How many entries its history has."""
    opened_at: datetime = Field(sa_type=Instant)
    updated_at: datetime = Field(sa_type=Instant)
    resolved_at: datetime | None = Field(default=None, sa_type=Instant)
    resolved_because: str | None = Field(default=None, sa_type=sa.Text)
    acknowledged_at: datetime | None = Field(default=None, sa_type=Instant)
    acknowledged_by: str | None = Field(default=None, max_length=100)
    snoozed_until: datetime | None = Field(default=None, sa_type=Instant)
    snoozed_by: str | None = Field(default=None, max_length=100)
    muted_at: datetime | None = Field(default=None, sa_type=Instant)
    muted_by: str | None = Field(default=None, max_length=100)
    muted_because: str | None = Field(default=None, sa_type=sa.Text)


class Lineage(Table, table=True):
    """What rules ask of a lineage, as events have told it."""

    __tablename__ = "lineages"

    id: str = Field(primary_key=True, max_length=100)
    facts: dict[str, Any] = Field(sa_type=Json)
    """As `domain.facts.Facts` reads it."""
    told_at: datetime = Field(sa_type=Instant)


class Watched(Table, table=True):
    """A certificate in use of which thresholds of rules may be crossed."""

    __tablename__ = "watched"
    __table_args__ = (sa.Index("ix_watched_due_at", "due_at"),)

    lineage_id: str = Field(primary_key=True, max_length=100)
    fingerprint: str = Field(primary_key=True, max_length=64)
    not_before: datetime = Field(sa_type=Instant)
    not_after: datetime = Field(sa_type=Instant)
    evidence: dict[str, Any] = Field(sa_type=Json)
    """What is told of it when one is crossed."""
    is_late: bool = False
    """It has come so near to its end that renewal should have been done, or renewal has failed."""
    due_at: datetime | None = Field(default=None, sa_type=Instant)
    """When to look at it again; empty where no rule has a threshold ahead."""


class Crossed(Table, table=True):
    """A threshold of a rule that a certificate has crossed: what is here is never told again."""

    __tablename__ = "crossings"

    rule_id: str = Field(primary_key=True, max_length=36)
    lineage_id: str = Field(primary_key=True, max_length=100)
    fingerprint: str = Field(primary_key=True, max_length=64)
    threshold: str = Field(primary_key=True, max_length=30)
    at: datetime = Field(sa_type=Instant)
    """When it was crossed; that was noticed at `noticed_at`."""
    noticed_at: datetime = Field(sa_type=Instant)


class Pursuit(Table, table=True):
    """What a rule has done about an open alert, and what it does next: at most one for each alert and rule."""

    __tablename__ = "pursuits"
    __table_args__ = (sa.Index("ix_pursuits_next_at", "next_at"),)

    alert_id: str = Field(primary_key=True, max_length=36)
    rule_id: str = Field(primary_key=True, max_length=36)
    level: int = 0
    """How many levels of its escalation were told."""
    began_at: datetime = Field(sa_type=Instant)
    told_at: datetime = Field(sa_type=Instant)
    next_at: datetime | None = Field(default=None, sa_type=Instant)


class Said(Table, table=True):
    """Evidence that stands."""

    __tablename__ = "evidence"

    subject: str = Field(primary_key=True, max_length=100)
    problem: str = Field(primary_key=True, max_length=30)
    key: str = Field(primary_key=True, max_length=100)
    evidence: dict[str, Any] = Field(sa_type=Json)


class Replaced(Table, table=True):
    """A certificate that was seen to be gone from every place, and when that was seen last."""

    __tablename__ = "replacements"

    subject: str = Field(primary_key=True, max_length=100)
    outgoing: str = Field(primary_key=True, max_length=64)
    fingerprint: str = Field(max_length=64)
    observed_at: datetime = Field(sa_type=Instant)


class Entry(Table, table=True):
    """One turn of an alert, or a note about it."""

    __tablename__ = "alert_history"

    alert_id: str = Field(primary_key=True, max_length=36, foreign_key="alerts.id")
    number: int = Field(primary_key=True)
    turn: str = Field(max_length=20)
    at: datetime = Field(sa_type=Instant)
    severity: str = Field(max_length=20)
    text: str = Field(sa_type=sa.Text)
    details: dict[str, Any] = Field(sa_type=Json)
    """As they were: a notice is the same at every try."""
    by: str | None = Field(default=None, max_length=100)
    """The caller, where it was one."""


class Delivery(Table, table=True):
    """One turn of an alert, or a digest of many, on its way through one channel."""

    __tablename__ = "deliveries"
    __table_args__ = (
        sa.UniqueConstraint("alert_id", "number", "channel_id"),
        sa.Index("ix_deliveries_due", "state", "next_attempt_at"),
        sa.Index("ix_deliveries_channel_id", "channel_id", "created_at"),
        sa.Index("ix_deliveries_digest_id", "digest_id"),
    )

    id: str = Field(primary_key=True, max_length=36)
    alert_id: str | None = Field(default=None, max_length=36, foreign_key="alerts.id")
    """Empty where it is a digest."""
    number: int
    """The turn."""
    channel_id: str = Field(max_length=36)
    is_own: bool = True
    """To the recipients that the channel's options name."""
    addressed: list[str] = Field(default_factory=list, sa_type=Json)
    """And to these contacts."""
    digest_every: int | None = None
    """Seconds; it is not sent alone, but with what else is due then."""
    digest_id: str | None = Field(default=None, max_length=36)
    """The delivery that tells it together with others."""
    digest: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """What a digest says."""
    state: str = Field(max_length=20)
    attempts: int = 0
    next_attempt_at: datetime | None = Field(default=None, sa_type=Instant)
    lease_until: datetime | None = Field(default=None, sa_type=Instant)
    """Until then a process is at it."""
    answer: str | None = Field(default=None, sa_type=sa.Text)
    last_error: str | None = Field(default=None, sa_type=sa.Text)
    told: list[str] = Field(sa_type=Json)
    refused: dict[str, str] = Field(sa_type=Json)
    created_at: datetime = Field(sa_type=Instant)
    delivered_at: datetime | None = Field(default=None, sa_type=Instant)


class ReportSchedule(Table, table=True):
    """A report that is mailed again and again, of what its maker could see."""

    __tablename__ = "report_schedules"
    __table_args__ = (sa.Index("ix_report_schedules_next_at", "next_at"),)

    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(max_length=200, unique=True)
    report: str = Field(max_length=30)
    form: str = Field(max_length=10)
    query: str | None = Field(default=None, max_length=2000)
    channel_id: str = Field(max_length=36)
    recipients: list[str] = Field(sa_type=Json)
    """Empty: those that the channel's options name."""
    days: int
    cron: str = Field(max_length=100)
    zone: str = Field(max_length=60)
    groups: list[str] = Field(sa_type=Json)
    scope: list[str] | None = Field(default=None, sa_type=Json)
    """The groups of whoever made it, or has changed it last; null is everything."""
    occurs_at: datetime = Field(sa_type=Instant)
    """The occurrence that comes next, or is being tried."""
    next_at: datetime = Field(sa_type=Instant)
    """When it is tried."""
    lease_until: datetime | None = Field(default=None, sa_type=Instant)
    attempts: int = 0
    told: list[str] = Field(default_factory=list, sa_type=Json)
    """Who has it already, of this occurrence."""
    last_sent_at: datetime | None = Field(default=None, sa_type=Instant)
    last_error: str | None = Field(default=None, sa_type=sa.Text)
    version: int = Field(default=1, sa_column_kwargs={"server_default": "1"})
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)
    created_by_name: str = Field(max_length=200)
