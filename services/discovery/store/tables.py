"""The tables of discovery."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from shared.store import Instant, Json


class Table(SQLModel, registry=registry()):
    """What all tables of this service belong to."""


class Scan(Table, table=True):
    """A walk over places: what was asked, how far it has come, and what came of it."""

    __tablename__ = "scans"

    id: str = Field(primary_key=True, max_length=36)
    state: str = Field(max_length=20, index=True)
    targets: list[str] = Field(sa_type=Json)
    ports: str = Field(max_length=1000)
    exclude: list[str] = Field(sa_type=Json)
    server_names: list[str] = Field(sa_type=Json)
    segments: list[dict[str, Any]] | None = Field(default=None, sa_type=Json)
    """The places to go to; empty as long as host names are still to be resolved."""
    unresolved: dict[str, str] = Field(sa_type=Json)
    """Host names that have no address, and why."""
    timeout: float
    concurrency: int
    reach: str = Field("fast", max_length=10)
    starttls: str | None = Field(default=None, max_length=20)
    """`auto` or the protocol to speak before TLS; empty for TLS from the first byte."""
    rate: float | None = None
    per_host: int | None = None
    per_network: int | None = None
    most_workers: int = 1
    """How many pieces may be worked on at a time, so that all keep its limits together."""
    does_fan_out: bool = False
    """Places that answer are also asked for the names that are known there."""
    rounds: int = 0
    """How often its way was laid out: for what was asked, then for the names known there."""
    first_round: int = Field(default=0, sa_type=sa.BigInteger)
    """How many of the places were asked for; those after them it found out about by itself."""
    total: int = Field(sa_type=sa.BigInteger)
    position: int = Field(default=0, sa_type=sa.BigInteger)
    """How many places are done, all pieces together."""
    counts: dict[str, int] = Field(sa_type=Json)
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)
    schedule_id: str | None = Field(default=None, max_length=36)
    groups: list[str] = Field(default_factory=list, sa_type=Json)
    started_at: datetime | None = Field(default=None, sa_type=Instant)
    active: float = 0
    """Seconds it was at work before `active_since`: pauses do not count."""
    active_since: datetime | None = Field(default=None, sa_type=Instant)
    finished_at: datetime | None = Field(default=None, sa_type=Instant)
    lease: str | None = Field(default=None, max_length=36)
    """Who lays out its way; its pieces have leases of their own."""
    lease_until: datetime | None = Field(default=None, sa_type=Instant)
    error: str | None = Field(default=None, max_length=500)


class Shard(Table, table=True):
    """A piece of a scan's way that is not done yet."""

    __tablename__ = "scan_shards"

    scan_id: str = Field(primary_key=True, max_length=36)
    number: int = Field(primary_key=True)
    position: int = Field(sa_type=sa.BigInteger)
    """Where it goes on after a crash."""
    end: int = Field(sa_type=sa.BigInteger)
    lease: str | None = Field(default=None, max_length=36)
    lease_until: datetime | None = Field(default=None, sa_type=Instant)


class Result(Table, table=True):
    """What came of one place of one scan."""

    __tablename__ = "scan_results"
    __table_args__ = (sa.Index("ix_scan_results_outcome", "scan_id", "outcome", "number"),)

    scan_id: str = Field(primary_key=True, max_length=36)
    number: int = Field(primary_key=True, sa_type=sa.BigInteger)
    address: str = Field(max_length=253, index=True)
    """The IP address, or a host name that has none."""
    port: int | None = None
    server_name: str | None = Field(default=None, max_length=253)
    outcome: str = Field(max_length=10)
    reason: str = Field("", max_length=500)
    fingerprint: str | None = Field(default=None, max_length=64)
    tls_version: str | None = Field(default=None, max_length=10)
    cipher_suite: str | None = Field(default=None, max_length=60)
    group: str | None = Field(default=None, max_length=40)
    starttls: str | None = Field(default=None, max_length=20)
    protocol: str | None = Field(default=None, max_length=40)
    """What is spoken there instead of TLS, where that can be told."""
    wants_client_certificate: bool = False
    depth: dict[str, Any] | None = Field(default=None, sa_type=Json)
    others: dict[str, str] = Field(default_factory=dict, sa_type=Json)
    """Fingerprints of the certificates for clients that verify only this kind of key, where they differ."""


class KnownPlace(Table, table=True):
    """A place that has served a certificate."""

    __tablename__ = "places"

    key: str = Field(primary_key=True, max_length=400)
    address: str = Field(max_length=45, index=True)
    port: int
    server_name: str | None = Field(default=None, max_length=253)
    starttls: str | None = Field(default=None, max_length=20)
    key_type: str | None = Field(default=None, max_length=10)
    fingerprint: str = Field(max_length=64, index=True)
    first_seen: datetime = Field(sa_type=Instant)
    last_seen: datetime = Field(sa_type=Instant)
    misses: int = 0
    missed_at: datetime | None = Field(default=None, sa_type=Instant)
    """When it was last missed in a way that counts."""


class Watch(Table, table=True):
    """A place that ought to change, and when to look at it next."""

    __tablename__ = "watches"

    place_key: str = Field(primary_key=True, max_length=400)
    address: str = Field(max_length=45)
    port: int
    server_name: str | None = Field(default=None, max_length=253)
    starttls: str | None = Field(default=None, max_length=20)
    key_type: str | None = Field(default=None, max_length=10)
    old_fingerprint: str | None = Field(default=None, max_length=64)
    looks: int = 0
    next_look_at: datetime = Field(sa_type=Instant, index=True)


class KnownName(Table, table=True):
    """A host name that is known, and where it may be asked for."""

    __tablename__ = "names"

    name: str = Field(primary_key=True, max_length=253)
    """Lower case, ASCII, no wildcard."""
    address: str = Field(primary_key=True, max_length=45, index=True)
    """The IP address that it goes with; empty where none is known."""
    origin: str = Field(primary_key=True, max_length=20)
    """How it became known: certificate, transparency, reverse, configuration, event."""
    seen_at: datetime = Field(sa_type=Instant)
