"""What inventory says: which certificate is in trouble, and which replacement has been seen."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from shared.events import Payload
from shared.events.discovery import Place


class Urgency(StrEnum):
    """How little of a lifetime is left, least urgent first."""

    RENEW = "renew"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"
    EXPIRED = "expired"


class CertificateExpiring(Payload):
    """A lineage has crossed one of its thresholds; said once per lineage, certificate and threshold."""

    type: ClassVar[str] = "certificate.expiring"

    lineage_id: str
    fingerprint: str
    urgency: Urgency
    not_before: datetime
    not_after: datetime
    subject_name: str
    issuer_name: str
    names: list[str]
    """DNS names and IP addresses the certificate is for."""
    places: list[Place]
    """Where it was last seen, at most 50."""
    place_count: int

    def subject(self) -> str:
        """Return the certificate's fingerprint."""
        return self.fingerprint


class CertificateReplaced(Payload):
    """Every place of the old certificate was seen to serve another one, or is gone."""

    type: ClassVar[str] = "certificate.replaced"

    lineage_id: str
    old_fingerprint: str
    fingerprint: str
    places: list[Place]
    observed_at: datetime

    def subject(self) -> str:
        """Return the new certificate's fingerprint."""
        return self.fingerprint


class CertificateStale(Payload):
    """A renewed certificate is in place, and these places were seen to serve the old one still."""

    type: ClassVar[str] = "certificate.stale"

    lineage_id: str
    old_fingerprint: str
    fingerprint: str
    places: list[Place]
    observed_at: datetime

    def subject(self) -> str:
        """Return the old certificate's fingerprint."""
        return self.old_fingerprint
