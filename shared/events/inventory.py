"""What inventory says: which certificate is in trouble, and which replacement has been seen."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

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


class Contact(BaseModel):
    """A way to reach a team."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: str
    """`email`, `chat` or `phone`."""
    value: str


class Owner(BaseModel):
    """The team that owns a certificate."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    name: str
    contacts: list[Contact] = []
    """The one to be asked first first, at most 10."""
    deputies: list[Contact] = []
    """How whoever stands in for the team is reached, at most 10."""


class RuleSeverity(StrEnum):
    """How bad it is to break a rule of a policy, least bad first."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


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
    owner: Owner | None = None
    """Empty where nobody owns it."""

    def subject(self) -> str:
        """Return the certificate's fingerprint."""
        return self.fingerprint


class CertificateAging(Payload):
    """Half of the life of a certificate in use is over, and its time for renewal has not come: who has to plan ahead can be told.

    It may be said again; where the first that is known of it is later, `certificate.expiring` is said instead.
    """

    type: ClassVar[str] = "certificate.aging"

    lineage_id: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    subject_name: str
    issuer_name: str
    names: list[str]
    """DNS names and IP addresses the certificate is for."""
    places: list[Place]
    """Where it was last seen, at most 50."""
    place_count: int
    owner: Owner | None = None
    """Empty where nobody owns it."""

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


class CertificatesArrived(Payload):
    """Certificates that nobody knew are in the inventory now; said once of all that were taken in together.

    It is of no group: into which they come is told by `lineages.grouped`.
    """

    type: ClassVar[str] = "certificates.arrived"

    fingerprints: list[str] = Field(min_length=1)
    """At most as many as are taken in at once: some hundreds."""

    def subject(self) -> str:
        """Return the fingerprint of the first."""
        return self.fingerprints[0]


class LineagesGrouped(Payload):
    """Lineages have come into a group, or have left it; what hangs on them is in the group as they are.

    Of each pair of lineage and group the latest word holds; what is not named is as it was.
    """

    type: ClassVar[str] = "lineages.grouped"

    group_id: str
    joined: list[str] = Field(default=[])
    """Ids of lineages, at most 500."""
    left: list[str] = Field(default=[])
    """Ids of lineages, at most 500."""

    def subject(self) -> str:
        """Return the group's id."""
        return self.group_id


class AuthorityExpiring(Payload):
    """The certificate of an authority has come to one of its thresholds, and certificates in use are under it; said once
    per authority and threshold.
    """

    type: ClassVar[str] = "authority.expiring"

    fingerprint: str
    urgency: Urgency
    not_before: datetime
    not_after: datetime
    subject_name: str
    issuer_name: str
    is_self_issued: bool
    """It is a root."""
    certificate_count: int
    """Certificates in use that were served with it above them."""
    certificates: list[str]
    """Their fingerprints, at most 50."""

    def subject(self) -> str:
        """Return the authority's fingerprint."""
        return self.fingerprint


class AuthorityCleared(Payload):
    """What `authority.expiring` has told is over: no certificate in use is under the authority any more."""

    type: ClassVar[str] = "authority.cleared"

    fingerprint: str
    cleared_at: datetime

    def subject(self) -> str:
        """Return the authority's fingerprint."""
        return self.fingerprint


class CertificateRevocationSeen(Payload):
    """A certificate that is in use was seen to be revoked by its authority; said once, whoever asked for it."""

    type: ClassVar[str] = "certificate.revocation_seen"

    lineage_id: str
    fingerprint: str
    revoked_at: datetime
    reason: str
    """As RFC 5280 §5.3.1 names it: `keyCompromise`, `superseded`, `unspecified` …"""
    means: str
    """`ocsp` or `crl`."""
    seen_at: datetime
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


class BrokenRule(BaseModel):
    """A rule of a policy that is not met."""

    model_config = ConfigDict(frozen=True)

    rule: str
    title: str
    severity: RuleSeverity
    evidence: str
    """What shows it, at one of the places."""
    remedy: str
    source: str


class CertificateNoncompliant(Payload):
    """A lineage breaks a policy that is switched on; said when that begins, and when it breaks other rules of it."""

    type: ClassVar[str] = "certificate.noncompliant"

    lineage_id: str
    fingerprint: str
    """The certificate at one of the places."""
    policy: str
    """The policy's id."""
    policy_title: str
    policy_version: int
    severity: RuleSeverity
    """Of the worst rule that is broken."""
    rules: list[BrokenRule]
    names: list[str]
    """Names of the certificate, at most 50."""
    places: list[Place]
    """Where it was found to be so, at most 50."""
    place_count: int
    judged_at: datetime

    def subject(self) -> str:
        """Return the certificate's fingerprint."""
        return self.fingerprint


class CertificateCompliant(Payload):
    """What `certificate.noncompliant` has told of a lineage and a policy is over."""

    type: ClassVar[str] = "certificate.compliant"

    lineage_id: str
    fingerprint: str | None
    """The certificate at one of the places; empty where there is none any more."""
    policy: str
    policy_title: str
    reason: str
    judged_at: datetime

    def subject(self) -> str:
        """Return the certificate's fingerprint, or the lineage's id."""
        return self.fingerprint or self.lineage_id


class Change(StrEnum):
    """What has changed about what somebody may do."""

    RIGHTS = "rights"
    """Roles, permissions or groups."""
    KEY_REVOKED = "key-revoked"
    DISABLED = "disabled"
    ENABLED = "enabled"
    SIGNED_OUT = "signed-out"


class AccessChanged(Payload):
    """What somebody may do has changed: tokens given to them before are to be refused from now on."""

    type: ClassVar[str] = "access.changed"

    principal_id: str
    change: Change
    void_until: datetime
    """Tokens issued at this instant or before are void."""
    changed_by: str
    """The principal who changed it."""

    def subject(self) -> str:
        """Return the id of whom it is about."""
        return self.principal_id


class CertificatesUnowned(Payload):
    """Certificates in use have had no owner for longer than is allowed: said once of all of them, and daily of another number."""

    type: ClassVar[str] = "certificates.unowned"

    count: int
    since: datetime
    """Since when there have been any, without a break."""
    counted_at: datetime

    def subject(self) -> str:
        """Return what all such events are about."""
        return "unowned"


class CertificatesOwned(Payload):
    """Every certificate in use has an owner again: what `certificates.unowned` has told is over."""

    type: ClassVar[str] = "certificates.owned"

    ended_at: datetime

    def subject(self) -> str:
        """Return what all such events are about."""
        return "unowned"
