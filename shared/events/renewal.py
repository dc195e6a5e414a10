"""What renewal says: a new certificate is there to be put in place, or could not be had."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from shared.events import Der, Payload
from shared.events.approvals import Asked, Settled


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
    key_is_on_target: bool = False
    """Whether the key was made on the target, where it waits; there is none to ask for."""
    requested_by: str | None = None
    """Who has ordered it: a principal, or the service itself."""

    def subject(self) -> str:
        """Return the new certificate's fingerprint."""
        return self.fingerprint


class RequestWanted(Payload):
    """A key pair is to be made on the target of a lineage, and its certification request to be brought."""

    type: ClassVar[str] = "renewal.request_wanted"

    order_id: str
    lineage_id: str
    names: list[str]
    key_type: str
    """As profiles name it: `ecdsa-p256`, `rsa-3072`."""
    expires_at: datetime
    """When the order fails without it."""

    def subject(self) -> str:
        """Return the order's id."""
        return self.order_id


class RequestWithdrawn(Payload):
    """What `renewal.request_wanted` has told is over without a certificate, and nothing has failed: the order is not needed."""

    type: ClassVar[str] = "renewal.request_withdrawn"

    order_id: str
    lineage_id: str

    def subject(self) -> str:
        """Return the order's id."""
        return self.order_id


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


class CertificateRevoked(Payload):
    """An authority has taken a certificate back because we asked it to."""

    type: ClassVar[str] = "certificate.revoked"

    lineage_id: str
    order_id: str
    """The one that it was obtained by."""
    revocation_id: str
    fingerprint: str
    names: list[str]
    authority: str
    """The name of the authority that issued it."""
    reason: RevocationReason
    explanation: str
    requested_by: str
    revoked_at: datetime

    def subject(self) -> str:
        """Return the certificate's fingerprint."""
        return self.fingerprint


class RevocationFailed(Payload):
    """A certificate could not be revoked, or is not seen to be; `next_attempt_at` is empty where nobody goes on."""

    type: ClassVar[str] = "revocation.failed"

    lineage_id: str
    revocation_id: str
    fingerprint: str
    names: list[str]
    reason: str
    next_step: str
    attempt: int
    next_attempt_at: datetime | None

    def subject(self) -> str:
        """Return the certificate's fingerprint."""
        return self.fingerprint


class RevocationConfirmed(Payload):
    """An authority was seen to say, to everybody who asks, that a certificate is revoked."""

    type: ClassVar[str] = "revocation.confirmed"

    lineage_id: str
    revocation_id: str
    fingerprint: str
    means: str
    """`ocsp`, `crl`, or who has seen it."""
    confirmed_at: datetime

    def subject(self) -> str:
        """Return the certificate's fingerprint."""
        return self.fingerprint


class RenewalAwaitingApproval(Asked):
    """Something is done only when enough people have agreed to exactly this; said again as a reminder."""

    type: ClassVar[str] = "renewal.awaiting_approval"
    where: ClassVar[str] = "/renewal/v1/approvals"


class ApprovalSettled(Settled):
    """What `renewal.awaiting_approval` has told is over: decided, expired, void, or done without."""

    type: ClassVar[str] = "approval.settled"


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


class CampaignChanged(Payload):
    """A campaign was planned, has begun, has come to its next wave, has stopped, or is over."""

    type: ClassVar[str] = "campaign.changed"

    campaign_id: str
    name: str
    state: str
    """`planned`, `running`, `paused`, `aborted` or `finished`."""
    counts: dict[str, int]
    """How many certificates are in which state."""
    reason: str | None
    """Why it has stopped."""
    next_step: str | None
    deadline: datetime | None
    ends_at: datetime | None
    """When it will be over as it goes now; empty where that cannot be told."""
    is_late: bool
    """Whether that is after the deadline."""
    groups: list[str] = Field(default=[])

    def subject(self) -> str:
        """Return the campaign's id."""
        return self.campaign_id
