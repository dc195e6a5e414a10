"""The tables: certificates and where they are, lineages and what happened to them, and who may ask."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from shared.store import Instant, Json, SealedOwn

_BY_CODE_POINTS = sa.String(253).with_variant(sa.String(253, collation="C"), "postgresql")
"""Text whose index finds what begins so, on every database."""
START = 100
"""So many characters of a text of any length are in an index."""


def _beginning_of(column: str) -> Any:
    """Return a column that the database fills with how another begins."""
    return Field(
        default=None,
        sa_type=sa.String(START),
        sa_column_args=[sa.Computed(f"substr({column}, 1, {START})")],
    )


def _partial_index(name: str, *columns: str, where: str, sqlite: str | None = None) -> sa.Index:
    return sa.Index(name, *columns, sqlite_where=sa.text(sqlite or where), postgresql_where=sa.text(where))


class Table(SQLModel, registry=registry()):
    """What all tables of this service belong to."""


class Lineage(Table, table=True):
    """The chain of renewals of one thing."""

    __tablename__ = "lineages"

    id: str = Field(primary_key=True, max_length=100)
    title: str = Field(max_length=500)
    created_at: datetime = Field(sa_type=Instant)
    is_managed: bool = False
    """Whether renewal renews it by itself."""
    managed_told_at: datetime | None = Field(default=None, sa_type=Instant)
    """As of when that is so."""


class Certificate(Table, table=True):
    """A certificate, what it says, and how urgent it is; what cannot be read is empty and has a finding."""

    __tablename__ = "certificates"
    __table_args__ = (
        # Lists are ordered by one of these and then by id, in either direction.
        sa.Index("ix_certificates_not_after", "not_after", "id"),
        sa.Index("ix_certificates_not_before", "not_before", "id"),
        sa.Index("ix_certificates_key_type", "key_type", "id"),
        sa.Index("ix_certificates_key_bits", "key_bits", "id"),
        sa.Index("ix_certificates_subject", "subject_start", "id"),
        sa.Index("ix_certificates_issuer", "issuer_start", "id"),
        # A serial number may be longer than a B-tree takes, where somebody made it so.
        sa.Index("ix_certificates_serial", "serial", postgresql_using="hash"),
        _partial_index("ix_certificates_urgency", "urgency", "not_after", "id", where="urgency IS NOT NULL"),
        # What a list by expiry is mostly about: those that are over and replaced come first otherwise.
        _partial_index(
            "ix_certificates_current",
            "not_after",
            "id",
            where="is_current IS TRUE",
            sqlite="is_current IS 1",
        ),
        _partial_index("ix_certificates_unreadable", "id", where="finding IS NOT NULL"),
        _partial_index("ix_certificates_ca", "id", where="is_ca", sqlite="is_ca = 1"),
        _partial_index(
            "ix_certificates_unowned",
            "fingerprint",
            where="owner_id IS NULL AND is_current",
            sqlite="owner_id IS NULL AND is_current = 1",
        ),
    )

    fingerprint: str = Field(primary_key=True, max_length=64)
    id: str = Field(max_length=36, unique=True)
    lineage_id: str = Field(max_length=100, foreign_key="lineages.id", index=True)
    serial: str | None = Field(default=None, sa_type=sa.Text)
    subject: str | None = Field(default=None, sa_type=sa.Text)
    issuer: str | None = Field(default=None, sa_type=sa.Text)
    names: list[str] = Field(sa_type=Json)
    not_before: datetime | None = Field(default=None, sa_type=Instant)
    not_after: datetime | None = Field(default=None, sa_type=Instant)
    key_type: str | None = Field(default=None, max_length=50)
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
    subject_start: str | None = _beginning_of("subject")
    issuer_start: str | None = _beginning_of("issuer")
    owner_id: str | None = Field(default=None, max_length=100, index=True)
    """The id of a team."""
    owner_set_by: str | None = Field(default=None, max_length=110)
    """Why: `person:NAME`, `rule:ID`, or `lineage` where it was inherited."""


class CertificateName(Table, table=True):
    """A name of a certificate, once as it is and once backwards, to be found by either end."""

    __tablename__ = "certificate_names"

    # No foreign key: it is written with its certificate, which is never deleted, and each would be looked for again.
    fingerprint: str = Field(primary_key=True, max_length=64)
    name: str = Field(sa_type=_BY_CODE_POINTS, primary_key=True, index=True)
    backwards: str = Field(sa_type=_BY_CODE_POINTS, index=True)


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
    __table_args__ = (
        sa.Index("ix_places_address", "address", "port"),
        sa.Index("ix_places_port", "port"),
        sa.Index("ix_places_server_name", "server_name"),
    )

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
    negotiated_digest: int | None = Field(default=None, sa_type=sa.BigInteger)
    tls_digest: int | None = Field(default=None, sa_type=sa.BigInteger)
    """What `place_tls` keeps of how TLS is spoken here, as numbers: by them it is seen that nothing has changed."""


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


class SavedQueryRow(Table, table=True):
    """A question that somebody asks again and again."""

    __tablename__ = "saved_queries"
    __table_args__ = (sa.UniqueConstraint("owner_id", "name"),)

    id: str = Field(primary_key=True, max_length=36)
    owner_id: str = Field(max_length=100)
    """The principal who made it, and alone may change it."""
    name: str = Field(max_length=200)
    query: str = Field(sa_type=sa.Text)
    sort: str = Field(max_length=100)
    columns: list[str] = Field(sa_type=Json)
    is_shared: bool
    version: int = 1
    created_at: datetime = Field(sa_type=Instant)
    updated_at: datetime = Field(sa_type=Instant)


class ArrangementRow(Table, table=True):
    """How somebody has arranged a page of what they look at."""

    __tablename__ = "arrangements"
    __table_args__ = (sa.UniqueConstraint("owner_id", "name"),)

    id: str = Field(primary_key=True, max_length=36)
    owner_id: str = Field(max_length=100)
    """The principal whose it is, and who alone sees it."""
    name: str = Field(max_length=50)
    """Of the page."""
    cards: list[dict[str, Any]] = Field(sa_type=Json)
    """Which cards, in their order, and how each is shown."""
    updated_at: datetime = Field(sa_type=Instant)


class SigningKeyRow(Table, table=True):
    """A key that tokens are signed with; the newest one signs, all of them verify."""

    __tablename__ = "signing_keys"

    id: str = Field(primary_key=True, max_length=36)
    private_key: bytes = Field(sa_type=SealedOwn)
    """Sealed."""
    created_at: datetime = Field(sa_type=Instant)


class ServedChainRow(Table, table=True):
    """A chain as it is served with a certificate, and what was found out about it."""

    __tablename__ = "served_chains"
    __table_args__ = (sa.Index("ix_served_chains_state", "state", "fingerprint"),)

    fingerprint: str = Field(primary_key=True, max_length=64)
    chain_digest: str = Field(primary_key=True, max_length=64)
    """The same as in `sightings`, so that each place has its verdict."""
    chain: list[str] = Field(sa_type=Json)
    """Fingerprints of what is served after the certificate."""
    due_at: datetime = Field(sa_type=Instant, index=True)
    """When it is judged next."""
    judged_at: datetime | None = Field(default=None, sa_type=Instant)
    state: str | None = Field(default=None, max_length=20)
    store: str | None = Field(default=None, max_length=20)
    """The trust store that it leads to."""
    trusted_until: datetime | None = Field(default=None, sa_type=Instant)
    details: dict[str, Any] = Field(sa_type=Json)
    """`problems` (state and evidence), `path` and `missing` (fingerprints)."""


class IssuerRow(Table, table=True):
    """A certificate of an authority whose bytes are kept, to be found by its name."""

    __tablename__ = "issuers"

    fingerprint: str = Field(primary_key=True, max_length=64)
    subject_digest: str = Field(max_length=64, index=True)


class LintRow(Table, table=True):
    """By which linter a certificate was linted, and as what."""

    __tablename__ = "lints"

    fingerprint: str = Field(primary_key=True, max_length=64)
    is_public: bool
    """Whether it leads to a public root: other rules hold then."""
    linted_with: str = Field(default="", max_length=40, index=True)
    """Name and version; empty where it was not linted yet."""
    claimed_until: datetime | None = Field(default=None, sa_type=Instant)
    linted_at: datetime | None = Field(default=None, sa_type=Instant)
    kind: str | None = Field(default=None, max_length=20)
    rules: str | None = Field(default=None, max_length=20)


class FindingRow(Table, table=True):
    """A rule that a certificate breaks."""

    __tablename__ = "findings"
    __table_args__ = (
        sa.Index("ix_findings_rule", "rule", "fingerprint"),
        sa.Index("ix_findings_severity", "severity", "fingerprint"),
    )

    fingerprint: str = Field(primary_key=True, max_length=64)
    rule: str = Field(primary_key=True, max_length=150)
    severity: str = Field(max_length=10)
    evidence: str = Field(sa_type=sa.Text)
    linter: str = Field(max_length=40)
    """Name and version of what found it last."""
    first_seen: datetime = Field(sa_type=Instant)
    last_seen: datetime = Field(sa_type=Instant)


class RevocationRow(Table, table=True):
    """Where a certificate's revocation is asked for, and what was answered last."""

    __tablename__ = "revocations"
    __table_args__ = (
        sa.Index("ix_revocations_state", "state", "fingerprint"),
        sa.Index("ix_revocations_crl", "crl_id", "due_at"),
    )

    fingerprint: str = Field(primary_key=True, max_length=64)
    issuer_fingerprint: str | None = Field(default=None, max_length=64)
    ocsp_url: str | None = Field(default=None, sa_type=sa.Text)
    crl_id: str | None = Field(default=None, max_length=32)
    due_at: datetime | None = Field(default=None, sa_type=Instant, index=True)
    """When it is asked for next; empty where nobody can be asked, or the certificate has ended."""
    failures: int = 0
    """Looks in a row that brought no answer."""
    checked_at: datetime | None = Field(default=None, sa_type=Instant)
    state: str | None = Field(default=None, max_length=20)
    evidence: str | None = Field(default=None, sa_type=sa.Text)
    means: str | None = Field(default=None, max_length=10)
    url: str | None = Field(default=None, sa_type=sa.Text)
    this_update: datetime | None = Field(default=None, sa_type=Instant)
    next_update: datetime | None = Field(default=None, sa_type=Instant)
    revoked_at: datetime | None = Field(default=None, sa_type=Instant)
    reason: str | None = Field(default=None, max_length=30)
    told_at: datetime | None = Field(default=None, sa_type=Instant)
    """When others were told that it is revoked and in use."""


class CrlRow(Table, table=True):
    """A CRL that certificates name, and when it was fetched."""

    __tablename__ = "crls"

    id: str = Field(primary_key=True, max_length=32)
    """Made of the address."""
    url: str = Field(sa_type=sa.Text)
    fetched_at: datetime | None = Field(default=None, sa_type=Instant)


class CrlBody(Table, table=True):
    """The bytes of a CRL as they were fetched last."""

    __tablename__ = "crl_bodies"

    id: str = Field(primary_key=True, max_length=32)
    body: bytes


class PrincipalRow(Table, table=True):
    """Somebody or something that may ask."""

    __tablename__ = "principals"

    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(max_length=100, unique=True)
    kind: str = Field(max_length=20)
    roles: list[str] = Field(sa_type=Json)
    permissions: list[str] = Field(sa_type=Json)
    groups: list[str] = Field(default=[], sa_type=Json)
    """What roles and permissions are scoped to; empty means everything."""
    identity: str | None = Field(default=None, max_length=64, unique=True)
    """Made of the issuer and the subject of who signs in through an OpenID provider."""
    sealing_key: bytes | None = None
    """The X25519 key that was sent first; secrets for this principal are sealed to no other."""
    version: int = 1
    disabled_at: datetime | None = Field(default=None, sa_type=Instant)
    void_until: datetime | None = Field(default=None, sa_type=Instant)
    """Tokens issued at this instant or before are refused everywhere."""
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


class SignInRow(Table, table=True):
    """Somebody who was sent to the OpenID provider and has not come back yet."""

    __tablename__ = "sign_ins"

    state: str = Field(primary_key=True, max_length=64)
    """The hash of what the provider is to send back."""
    browser: str = Field(max_length=64)
    """The hash of the cookie that the browser was given."""
    nonce: str = Field(max_length=64)
    verifier: bytes = Field(sa_type=SealedOwn)
    """Sealed: proves to the provider that the code is ours (RFC 7636)."""
    return_to: str = Field(sa_type=sa.Text)
    expires_at: datetime = Field(sa_type=Instant, index=True)


class SessionRow(Table, table=True):
    """A browser in which somebody is signed in; of the cookie only the hash is kept."""

    __tablename__ = "sessions"

    digest: str = Field(primary_key=True, max_length=64)
    principal_id: str = Field(max_length=36, foreign_key="principals.id", index=True)
    created_at: datetime = Field(sa_type=Instant)
    expires_at: datetime = Field(sa_type=Instant, index=True)
