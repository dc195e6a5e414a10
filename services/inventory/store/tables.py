"""The tables: certificates and where they are, lineages and what happened to them, and who may ask."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from shared.store import Instant, Json

_REVERSED = sa.String(253).with_variant(sa.String(253, collation="C"), "postgresql")


class Table(SQLModel, registry=registry()):
    """What all tables of this service belong to."""


class Lineage(Table, table=True):
    """The chain of renewals of one thing."""

    __tablename__ = "lineages"

    id: str = Field(primary_key=True, max_length=100)
    title: str = Field(max_length=500)
    created_at: datetime = Field(sa_type=Instant)


class Certificate(Table, table=True):
    """A certificate, what it says, and how urgent it is; what cannot be read is empty and has a finding."""

    __tablename__ = "certificates"

    fingerprint: str = Field(primary_key=True, max_length=64)
    id: str = Field(max_length=36, unique=True)
    lineage_id: str = Field(max_length=100, foreign_key="lineages.id", index=True)
    serial: str | None = Field(default=None, sa_type=sa.Text)
    subject: str | None = Field(default=None, sa_type=sa.Text)
    issuer: str | None = Field(default=None, sa_type=sa.Text)
    names: list[str] = Field(sa_type=Json)
    not_before: datetime | None = Field(default=None, sa_type=Instant)
    not_after: datetime | None = Field(default=None, sa_type=Instant, index=True)
    key_type: str | None = Field(default=None, max_length=50, index=True)
    key_bits: int | None = None
    key_fingerprint: str | None = Field(default=None, max_length=64, index=True)
    signature_algorithm: str | None = Field(default=None, max_length=100)
    is_ca: bool = False
    is_self_issued: bool = False
    finding: str | None = Field(default=None, sa_type=sa.Text)
    chain: list[str] = Field(sa_type=Json)
    """Fingerprints of what was served after it, as last seen."""
    is_from_renewal: bool = False
    is_current: bool = False
    """Whether its expiry matters: it is somewhere, or is to be put somewhere, and has no successor."""
    urgency: str | None = Field(default=None, max_length=20)
    """The most urgent threshold that is crossed, while it is current."""
    next_crossing_at: datetime | None = Field(default=None, sa_type=Instant, index=True)
    first_known_at: datetime = Field(sa_type=Instant)


class CertificateName(Table, table=True):
    """A name of a certificate, once as it is and once backwards, to be found by either end."""

    __tablename__ = "certificate_names"

    fingerprint: str = Field(primary_key=True, max_length=64, foreign_key="certificates.fingerprint")
    name: str = Field(primary_key=True, max_length=253, index=True)
    backwards: str = Field(sa_type=_REVERSED, index=True)


class CertificateDer(Table, table=True):
    """The bytes of a certificate, of leaves and of those above them alike."""

    __tablename__ = "certificate_ders"

    fingerprint: str = Field(primary_key=True, max_length=64)
    der: bytes


class Crossed(Table, table=True):
    """A threshold that a certificate has crossed; `is_told` says whether others heard of it."""

    __tablename__ = "crossings"

    lineage_id: str = Field(primary_key=True, max_length=100)
    fingerprint: str = Field(primary_key=True, max_length=64)
    urgency: str = Field(primary_key=True, max_length=20)
    at: datetime = Field(sa_type=Instant)
    is_told: bool


class PlaceRow(Table, table=True):
    """A place; its id is made from its key, so that it is the same whoever sees it first."""

    __tablename__ = "places"
    __table_args__ = (sa.Index("ix_places_address", "address", "port"),)

    id: str = Field(primary_key=True, max_length=32)
    key: str = Field(sa_type=sa.Text)
    kind: str = Field(max_length=20)
    address: str = Field(sa_type=sa.Text)
    port: int | None = None
    server_name: str | None = Field(default=None, sa_type=sa.Text)
    starttls: str | None = Field(default=None, max_length=50)
    key_type: str | None = Field(default=None, max_length=10)
    path: str | None = Field(default=None, sa_type=sa.Text)


class HeldRow(Table, table=True):
    """How a store keeps the certificate at a place, as it was told last."""

    __tablename__ = "held"

    place_id: str = Field(primary_key=True, max_length=32)
    observed_at: datetime = Field(sa_type=Instant)
    key_fingerprint: str | None = Field(default=None, max_length=64, index=True)
    is_key_exposed: bool = False
    is_key_match: bool | None = None
    in_use: bool | None = None
    details: dict[str, Any] = Field(sa_type=Json)
    """All that was told, as `shared.events.discovery.Held`."""
    format: str | None = Field(default=None, max_length=50)
    is_named: bool = False
    """Whether a configuration there names it."""
    front_id: str | None = Field(default=None, max_length=32, index=True)
    is_joined: bool = False
    """Whether `front_id` and the rows in `slots` are as `details` say."""
    is_waiting: bool = False
    """Whether the store must be read again before it is known what a difference to what is served means."""


class FrontRow(Table, table=True):
    """A set of addresses under which stores are served together: those of one host, mostly."""

    __tablename__ = "fronts"

    id: str = Field(primary_key=True, max_length=32)
    """Made of the addresses."""
    run_id: str | None = Field(default=None, max_length=100, index=True)
    """The latest run of a source that has shown it."""
    seen_at: datetime = Field(sa_type=Instant)
    changed_at: datetime | None = Field(default=None, sa_type=Instant)
    """When a certificate that was configured there was last seen to be so no more."""
    read_at: datetime | None = Field(default=None, sa_type=Instant)
    """When the last complete run that has shown it had begun."""


class FrontAddress(Table, table=True):
    """One address of a front."""

    __tablename__ = "front_addresses"

    address: str = Field(primary_key=True, max_length=64)
    front_id: str = Field(primary_key=True, max_length=32, index=True)


class SlotRow(Table, table=True):
    """A port and server name that a store is configured for, to be found from what is served."""

    __tablename__ = "slots"

    front_id: str = Field(primary_key=True, max_length=32)
    port: int = Field(primary_key=True)
    server_name: str = Field(primary_key=True, max_length=253)
    """Wildcards as written; empty for where no name is asked for."""
    place_id: str = Field(primary_key=True, max_length=32, index=True)


class SourceReadRow(Table, table=True):
    """The last complete run of a source."""

    __tablename__ = "source_reads"

    source_id: str = Field(primary_key=True, max_length=100)
    run_id: str = Field(max_length=100, index=True)
    read_at: datetime = Field(sa_type=Instant)


class FlawRow(Table, table=True):
    """Something that is wrong with a place, or was."""

    __tablename__ = "flaws"
    __table_args__ = (
        sa.Index(
            "ix_flaws_open",
            "flaw",
            "place_id",
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        ),
    )

    place_id: str = Field(primary_key=True, max_length=32)
    flaw: str = Field(primary_key=True, max_length=20)
    since: datetime = Field(sa_type=Instant)
    ended_at: datetime | None = Field(default=None, sa_type=Instant)


class Sighting(Table, table=True):
    """What a place serves now: the narrow row that is touched at every look."""

    __tablename__ = "sightings"

    place_id: str = Field(primary_key=True, max_length=32)
    fingerprint: str | None = Field(default=None, max_length=64, index=True)
    """Empty where the place does not answer any more."""
    chain_digest: str | None = Field(default=None, max_length=64)
    first_seen: datetime = Field(sa_type=Instant)
    last_seen: datetime = Field(sa_type=Instant)
    is_watched: bool = False
    """Whether the certificate has a successor, so that seeing it here again means something."""
    is_awaited: bool = False
    """Whether it must be looked at again before it is known what a difference to the configuration means."""
    is_proof: bool = True
    """Whether what is here shows that a certificate is in use: an endpoint does, a store where something uses it."""


class ServingRow(Table, table=True):
    """What a place served from when until when."""

    __tablename__ = "servings"
    __table_args__ = (sa.Index("ix_servings_fingerprint", "fingerprint", "place_id"),)

    place_id: str = Field(primary_key=True, max_length=32)
    since: datetime = Field(primary_key=True, sa_type=Instant)
    fingerprint: str | None = Field(default=None, max_length=64)
    last_seen: datetime = Field(sa_type=Instant)
    """Kept up to date in `sightings` while `until` is empty."""
    until: datetime | None = Field(default=None, sa_type=Instant)


class Replacement(Table, table=True):
    """A certificate that is to take the place of another, and how far that has come."""

    __tablename__ = "replacements"
    __table_args__ = (sa.UniqueConstraint("old_fingerprint", "fingerprint"),)

    id: str = Field(primary_key=True, max_length=36)
    lineage_id: str = Field(max_length=100, index=True)
    old_fingerprint: str = Field(max_length=64)
    fingerprint: str = Field(max_length=64, index=True)
    order_id: str | None = Field(default=None, max_length=100)
    """Empty where somebody else has put the new one in place."""
    state: str = Field(max_length=20, index=True)
    opened_at: datetime = Field(sa_type=Instant)
    deployed_at: datetime | None = Field(default=None, sa_type=Instant)
    replaced_at: datetime | None = Field(default=None, sa_type=Instant)
    due_at: datetime | None = Field(default=None, sa_type=Instant, index=True)
    """When it is stale if nothing else is seen until then."""
    stale_places: list[str] = Field(sa_type=Json)
    """Ids of the places that were told to be stale."""


class TimelineRow(Table, table=True):
    """Something that happened to a lineage."""

    __tablename__ = "timeline"
    __table_args__ = (sa.Index("ix_timeline_lineage", "lineage_id", "at", "id"),)

    id: str = Field(primary_key=True, max_length=36)
    lineage_id: str = Field(max_length=100)
    at: datetime = Field(sa_type=Instant)
    kind: str = Field(max_length=20)
    text: str = Field(sa_type=sa.Text)
    fingerprint: str | None = Field(default=None, max_length=64, index=True)
    place_key: str | None = Field(default=None, sa_type=sa.Text)
    event_id: str | None = Field(default=None, max_length=100)


class SigningKeyRow(Table, table=True):
    """A key that tokens are signed with; the newest one signs, all of them verify."""

    __tablename__ = "signing_keys"

    id: str = Field(primary_key=True, max_length=36)
    private_key: bytes
    """Sealed."""
    created_at: datetime = Field(sa_type=Instant)


class PrincipalRow(Table, table=True):
    """Somebody or something that may ask."""

    __tablename__ = "principals"

    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(max_length=100, unique=True)
    kind: str = Field(max_length=20)
    roles: list[str] = Field(sa_type=Json)
    permissions: list[str] = Field(sa_type=Json)
    sealing_key: bytes | None = None
    """The X25519 key that was sent first; secrets for this principal are sealed to no other."""
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)


class ApiKeyRow(Table, table=True):
    """An API key, of which only the hash is kept."""

    __tablename__ = "api_keys"

    id: str = Field(primary_key=True, max_length=36)
    principal_id: str = Field(max_length=36, foreign_key="principals.id", index=True)
    digest: str = Field(max_length=64, unique=True)
    created_at: datetime = Field(sa_type=Instant)
    created_by: str = Field(max_length=100)
    expires_at: datetime = Field(sa_type=Instant)
    last_used_at: datetime | None = Field(default=None, sa_type=Instant)
    revoked_at: datetime | None = Field(default=None, sa_type=Instant)


class TokenRow(Table, table=True):
    """A token that was given out."""

    __tablename__ = "tokens"

    jti: str = Field(primary_key=True, max_length=36)
    principal_id: str = Field(max_length=36, foreign_key="principals.id", index=True)
    issued_at: datetime = Field(sa_type=Instant)
    expires_at: datetime = Field(sa_type=Instant, index=True)
    revoked_at: datetime | None = Field(default=None, sa_type=Instant)
