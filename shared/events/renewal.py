"""What renewal says: a new certificate is there to be put in place, or could not be had."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from shared.events import Der, Payload


class RevocationReason(StrEnum):
    """Why a certificate is taken back: those of RFC 5280 §5.3.1 that end it for good."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "cACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"
    AA_COMPROMISE = "aACompromise"


class CertificateRenewed(Payload):
    """An authority issued a certificate for a lineage, and what it issued was checked.

    The private key is not here: a service that puts it in place asks for it by `order_id`.
    """

    type: ClassVar[str] = "certificate.renewed"

    lineage_id: str
    order_id: str
    old_fingerprint: str | None
    fingerprint: str
    chain: list[Der]
    """DER certificates, leaf first, without the root."""
    names: list[str]
    not_before: datetime
    not_after: datetime
    authority: str
    """The name of the authority that issued it."""
    groups: list[str] = Field(default=[])
    """Those that the lineage was begun in, by this order; empty where it was there before."""
    root: Der | None = None
    """The root that the chain ends at, as DER, where the authority's is known: that of a built-in one always is."""

    def subject(self) -> str:
        """Return the new certificate's fingerprint."""
        return self.fingerprint


class RenewalFailed(Payload):
    """An attempt to obtain a certificate failed; `next_attempt_at` is empty where it was the last."""

    type: ClassVar[str] = "renewal.failed"

    lineage_id: str
    order_id: str
    fingerprint: str | None
    """The certificate that was to be renewed."""
    names: list[str]
    reason: str
    next_step: str
    attempt: int
    next_attempt_at: datetime | None
    groups: list[str] = Field(default=[])
    """Those that the lineage was begun in, by this order; empty where it was there before."""

    def subject(self) -> str:
        """Return the order's id."""
        return self.order_id


class LineageEnrolled(Payload):
    """A lineage is renewed by itself from now on, or by another profile."""

    type: ClassVar[str] = "lineage.enrolled"

    lineage_id: str
    profile: str
    enrolled_at: datetime

    def subject(self) -> str:
        """Return the lineage's id."""
        return self.lineage_id


class LineageWithdrawn(Payload):
    """A lineage is not renewed by itself any more."""

    type: ClassVar[str] = "lineage.withdrawn"

    lineage_id: str
    withdrawn_at: datetime

    def subject(self) -> str:
        """Return the lineage's id."""
        return self.lineage_id
