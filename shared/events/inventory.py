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


class Flaw(StrEnum):
    """What can be wrong with a place, as its configuration and what is served there show it."""

    KEY_EXPOSED = "key-exposed"
    """Others than its owner and group may read the private key."""
    KEY_MISMATCH = "key-mismatch"
    """The private key belongs to another certificate: the server would not start with it."""
    KEY_REPLACEABLE = "key-replaceable"
    """Others than its owner and group may put another private key in its place."""
    KEY_SHARED = "key-shared"
    """The same private key is on more than one host: lost on one, it is lost on all."""
    NOT_CONFIGURED = "not-configured"
    """An endpoint serves a certificate that nothing names in the configuration of its host, which was read completely."""
    NOT_SERVED = "not-served"
    """Where it is configured, another certificate was seen: most often a forgotten reload."""
    UNUSED = "unused"
    """Nothing that was read there uses it, and it is not served there."""


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


class PlaceFlawed(Payload):
    """Something began to be wrong with a place; said once, until it is mended."""

    type: ClassVar[str] = "place.flawed"

    place: Place
    flaw: Flaw
    fingerprint: str
    """The certificate that is there."""
    lineage_id: str
    names: list[str]
    """Names of the certificate, at most 50."""
    beside: list[Place]
    """What else it concerns, at most 20 places: where another certificate is served, or the same key is kept."""
    began_at: datetime

    def subject(self) -> str:
        """Return the certificate's fingerprint."""
        return self.fingerprint


class PlaceMended(Payload):
    """What `place.flawed` has told of a place is over, or is not known to be so any more."""

    type: ClassVar[str] = "place.mended"

    place: Place
    flaw: Flaw
    fingerprint: str | None
    """The certificate that is there now; empty where none is."""
    ended_at: datetime

    def subject(self) -> str:
        """Return the certificate's fingerprint, or the place's key."""
        return self.fingerprint or self.place.key
