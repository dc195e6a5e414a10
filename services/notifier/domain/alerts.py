"""What is a problem, how severe it is, and which observation ends it.

An alert is open as long as some evidence for it stands. Evidence is what one event has said;
only an observed replacement takes it away. Both may come in any order, so whether one covers the
other depends on what they say and never on which came first.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from shared.events.notifier import Severity


class Problem(StrEnum):
    """What can be wrong; there is at most one open alert for each subject and problem."""

    EXPIRING = "expiring"
    STALE = "stale"
    RENEWAL_FAILED = "renewal-failed"
    DEPLOYMENT_FAILED = "deployment-failed"
    CHANNEL_DEAD = "channel-dead"
    SOURCE_UNREAD = "source-unread"
    KEY_EXPOSED = "key-exposed"
    KEY_MISMATCH = "key-mismatch"
    KEY_REPLACEABLE = "key-replaceable"
    KEY_SHARED = "key-shared"
    NOT_CONFIGURED = "not-configured"
    NOT_SERVED = "not-served"
    UNOWNED = "unowned"
    AUTHORITY_EXPIRING = "authority-expiring"
    NONCOMPLIANT = "noncompliant"
    REVOKED = "revoked"
    REVOCATION_FAILED = "revocation-failed"
    AWAITING_APPROVAL = "awaiting-approval"
    ROLLOUT_STOPPED = "rollout-stopped"
    DRIFTED = "drifted"
    AUDIT_INCOMPLETE = "audit-incomplete"
    AUDIT_BROKEN = "audit-broken"


class AlertState(StrEnum):
    """Whether an alert still holds."""

    OPEN = "open"
    RESOLVED = "resolved"


_RANK = {severity: rank for rank, severity in enumerate(Severity)}


def is_worse(severity: Severity, than: Severity) -> bool:
    """Return whether a severity is higher than another."""
    return _RANK[severity] > _RANK[than]


def worst(severities: Iterable[Severity]) -> Severity:
    """Return the highest of some severities."""
    return max(severities, key=_RANK.__getitem__)


class Details(BaseModel):
    """What is known of a problem, all of it cleaned and none of it secret."""

    model_config = ConfigDict(frozen=True)

    names: tuple[str, ...] = ()
    issuer: str | None = None
    owner: str | None = None
    """The team, and how it is reached first."""
    not_after: datetime | None = None
    places: tuple[str, ...] = ()
    place_count: int = 0
    target: str | None = None
    policy: str | None = None
    broken: tuple[str, ...] = ()
    """Titles of the policy's rules."""
    step: str | None = None
    reason: str | None = None
    next_step: str = ""
    attempt: int | None = None
    next_attempt_at: datetime | None = None
    approval_id: str | None = None
    digest: str | None = None
    """What a decision binds to."""
    counts: tuple[str, ...] = ()
    """How many alerts a notice about many is about, and how bad they are."""
    urgent: tuple[str, ...] = ()
    """The worst of them."""


class Evidence(BaseModel):
    """What one event has said of a problem; said again of the same `key`, it stands in its place."""

    model_config = ConfigDict(frozen=True)

    subject: str
    """What the alert is about: a lineage's id, `channel/`, `source/`, `approval/`, `rollout/` or `binding/` and an id, `place/`, a flaw and a hash,
    `policy/` and a hash of a policy's id and a lineage's, `audit-gap/` or `audit-witness/` and a service, `audit-chain`, or `unowned`."""
    lineage_id: str | None
    problem: Problem
    key: str
    name: str | None
    """What people call the subject, where the event says it."""
    fingerprint: str | None
    """The certificate that is in trouble."""
    outgoing: str | None
    """The certificate whose replacement would end the problem, where the event says it."""
    severity: Severity
    told_at: datetime
    details: Details


class Replacement(BaseModel):
    """A certificate was seen, at `observed_at`, to be gone from every place.

    Or a source was seen to be read again, or a place to be mended: nothing is outgoing then, and it ends what was told
    before it.
    """

    model_config = ConfigDict(frozen=True)

    subject: str
    outgoing: str
    fingerprint: str
    observed_at: datetime


_ONCE_AND_FOR_ALL = (Problem.EXPIRING, Problem.RENEWAL_FAILED)


def is_over(evidence: Evidence, replacements: Iterable[Replacement]) -> bool:
    """Return whether one of the replacements ends what the evidence says."""
    return any(_ends(replacement, evidence) for replacement in replacements)


def _ends(replacement: Replacement, evidence: Evidence) -> bool:
    if replacement.subject != evidence.subject:
        return False
    was_later = replacement.observed_at >= evidence.told_at
    if evidence.outgoing is None:
        return was_later or replacement.fingerprint == evidence.fingerprint
    if replacement.outgoing != evidence.outgoing:
        return False
    # A host that comes back can serve the old certificate again: that is told after the observation.
    return evidence.problem in _ONCE_AND_FOR_ALL or was_later


def merged(new: Evidence, earlier: Evidence | None) -> Evidence:
    """Return what stands once both were said: the later words, the higher severity."""
    if earlier is None:
        return new
    latest = new if new.told_at >= earlier.told_at else earlier
    return latest.model_copy(update={"severity": worst([new.severity, earlier.severity])})
