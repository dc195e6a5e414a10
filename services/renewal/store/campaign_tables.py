"""The tables of campaigns: what is to be replaced, and how far each of its certificates is."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field

from services.renewal.store.tables import Table
from shared.store import Instant, Json, SealedOwn


class Campaign(Table, table=True):
    """Certificates that are to be replaced by a time."""

    __tablename__ = "campaigns"

    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(max_length=200)
    query: str = Field(sa_type=sa.Text)
    """Which, in inventory's query language; of those the ones in use."""
    reason: str = Field(sa_type=sa.Text)
    deadline: datetime | None = Field(default=None, sa_type=Instant)
    profiles: list[str] = Field(sa_type=Json)
    not_from: list[str] = Field(sa_type=Json)
    waves: dict[str, Any] = Field(sa_type=Json)
    """As `domain.campaigns.Waves`."""
    revoke: str | None = Field(default=None, max_length=30)
    """With which reason the old ones are revoked once the new ones are in place."""
    groups: list[str] = Field(sa_type=Json)
    scope: list[str] | None = Field(default=None, sa_type=Json)
    """The groups of who has made it: what is in none of them is no part of it; empty for everything."""
    state: str = Field(max_length=20, index=True)
    wave: int = 0
    """The one that is being worked on."""
    forgiven: int = 0
    """How many failures of this wave a person has seen and let pass."""
    plan_step: str | None = Field(default=None, max_length=20)
    plan_cursor: str | None = Field(default=None, sa_type=sa.Text)
    plan_digest: str | None = Field(default=None, max_length=64)
    """SHA-256 of all that would be done; a start names it."""
    last_error: str | None = Field(default=None, sa_type=sa.Text)
    next_step: str | None = Field(default=None, sa_type=sa.Text)
    is_told_late: bool = False
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)
    asked_by: str | None = Field(default=None, max_length=100)
    """Who wants it started."""
    started_at: datetime | None = Field(default=None, sa_type=Instant)
    started_by: str | None = Field(default=None, max_length=100)
    finished_at: datetime | None = Field(default=None, sa_type=Instant)


class CampaignItem(Table, table=True):
    """One certificate of a campaign, and what has become of it."""

    __tablename__ = "campaign_items"
    __table_args__ = (
        sa.Index("ix_campaign_items_state", "campaign_id", "state", "wave"),
        sa.Index("ix_campaign_items_order_id", "order_id"),
    )

    campaign_id: str = Field(primary_key=True, max_length=36, foreign_key="campaigns.id")
    lineage_id: str = Field(primary_key=True, max_length=100)
    fingerprint: str = Field(max_length=64)
    names: list[str] = Field(sa_type=Json)
    issuer: str = Field(sa_type=sa.Text)
    not_after: datetime = Field(sa_type=Instant)
    owner: str | None = Field(default=None, max_length=200)
    """The name of the team that owns it."""
    profile_id: str | None = Field(default=None, max_length=36)
    profile: str | None = Field(default=None, max_length=200)
    profile_version: int | None = None
    authority: str | None = Field(default=None, max_length=200)
    obstacle: str | None = Field(default=None, sa_type=sa.Text)
    next_step: str | None = Field(default=None, sa_type=sa.Text)
    is_bound: bool = False
    """Whether the provisioner puts it in place by itself."""
    wave: int | None = None
    state: str = Field(max_length=20)
    order_id: str | None = Field(default=None, max_length=36)
    new_fingerprint: str | None = Field(default=None, max_length=64)
    revocation_id: str | None = Field(default=None, max_length=36)
    """Of the old certificate."""
    is_revocation_settled: bool = False
    """Whether it was seen to that the old one is revoked, where that is wanted."""
    ordered_at: datetime | None = Field(default=None, sa_type=Instant)
    renewed_at: datetime | None = Field(default=None, sa_type=Instant)
    observed_at: datetime | None = Field(default=None, sa_type=Instant)
    changed_at: datetime = Field(sa_type=Instant)


class EvidenceKey(Table, table=True):
    """What reports of campaigns are signed with."""

    __tablename__ = "evidence_keys"

    id: str = Field(primary_key=True, max_length=36)
    private: bytes = Field(sa_type=SealedOwn)
    """Sealed: a raw Ed25519 key."""
    public: bytes
    created_at: datetime = Field(sa_type=Instant)
