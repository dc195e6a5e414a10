"""What renewal says: a new certificate is there to be put in place, or could not be had."""

from datetime import datetime
from typing import ClassVar

from shared.events import Der, Payload


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

    def subject(self) -> str:
        """Return the order's id."""
        return self.order_id
