"""The tables of what belongs together: odd certificates, authorities above them, and what is spread over many places."""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field

from services.inventory.domain.associations import Spread
from services.inventory.store.tables import Table
from shared.store import Instant, Json


class OddityRow(Table, table=True):
    """Something odd about a certificate, as its bytes show it; it never changes."""

    __tablename__ = "oddities"

    fingerprint: str = Field(primary_key=True, max_length=64)
    code: str = Field(primary_key=True, max_length=40, index=True)
    detail: str = Field(sa_type=sa.Text)


class AuthorityRow(Table, table=True):
    """A certificate of an authority that was seen above others, and how urgent its end is."""

    __tablename__ = "authorities"
    __table_args__ = (sa.Index("ix_authorities_end", "not_after", "fingerprint"),)

    fingerprint: str = Field(primary_key=True, max_length=64)
    subject: str | None = Field(default=None, sa_type=sa.Text)
    issuer: str | None = Field(default=None, sa_type=sa.Text)
    serial: str | None = Field(default=None, sa_type=sa.Text)
    not_before: datetime | None = Field(default=None, sa_type=Instant)
    not_after: datetime | None = Field(default=None, sa_type=Instant)
    key_type: str | None = Field(default=None, max_length=50)
    key_bits: int | None = None
    key_fingerprint: str | None = Field(default=None, max_length=64, index=True)
    signature_algorithm: str | None = Field(default=None, max_length=100)
    is_self_issued: bool = False
    first_known_at: datetime = Field(sa_type=Instant)
    leaves: int = 0
    """Certificates that were seen under it."""
    outliving: int = 0
    """Of those, the ones that end later than it does."""
    urgency: str | None = Field(default=None, max_length=20)
    told: str | None = Field(default=None, max_length=20)
    """The urgency that others have heard of."""
    next_crossing_at: datetime | None = Field(default=None, sa_type=Instant, index=True)
    linted_with: str = Field(default="", max_length=40, index=True)
    """Name and version; empty where it was not linted yet."""
    claimed_until: datetime | None = Field(default=None, sa_type=Instant)
    """When a linter that has taken it may be taken to have failed."""
    linted_at: datetime | None = Field(default=None, sa_type=Instant)
    findings: list[dict[str, str]] = Field(default_factory=list, sa_type=Json)
    """The rules that it breaks: `rule`, `severity`, `evidence`. Kept here, as `findings` are counted with certificates."""

    @property
    def names(self) -> list[str]:
        """Return none: an authority is for no host."""
        return []


class IssuedUnder(Table, table=True):
    """That a certificate was served with this authority above it; the ends are kept to be counted from one index."""

    __tablename__ = "issued_under"
    __table_args__ = (sa.Index("ix_issued_under_end", "authority", "ends", "fingerprint"),)

    authority: str = Field(primary_key=True, max_length=64)
    fingerprint: str = Field(primary_key=True, max_length=64, index=True)
    ends: datetime | None = Field(default=None, sa_type=Instant)
    """When the certificate ends."""
    is_direct: bool
    """It names this authority as its issuer."""


class TwinRow(Table, table=True):
    """A digest of what a certificate is for and who issued it: the same for duplicates."""

    __tablename__ = "twins"

    fingerprint: str = Field(primary_key=True, max_length=64)
    digest: str = Field(max_length=64, index=True)


class SpreadRow(Table, table=True):
    """Something that is in several places or several times, as it was counted last; what is not has no row."""

    __tablename__ = "spreads"
    __table_args__ = (sa.Index("ix_spreads_weight", "kind", "weight", "id"),)

    kind: str = Field(primary_key=True, max_length=10)
    id: str = Field(primary_key=True, max_length=64)
    """Of a key its fingerprint, of a wildcard certificate its fingerprint, of duplicates their digest."""
    weight: int
    """Grows with how bad it is."""
    certificates: int
    addresses: int
    """Where it is served."""
    hosts: int
    """That hold it in a store."""
    places: int
    counted_at: datetime = Field(sa_type=Instant)

    @property
    def spread(self) -> Spread:
        """Return the counts."""
        return Spread(
            certificates=self.certificates, addresses=self.addresses, hosts=self.hosts, places=self.places
        )


class DueAssociation(Table, table=True):
    """That something about a certificate or a key has changed, so that what belongs to it is to be looked at again.

    Rows are only added and removed, never changed: who counts sees all that was committed before, and what comes
    later comes with a row of its own.
    """

    __tablename__ = "due_associations"

    id: str = Field(primary_key=True, max_length=36)
    fingerprint: str | None = Field(default=None, max_length=64)
    key_fingerprint: str | None = Field(default=None, max_length=64)
