"""Decides when a certificate is renewed, and says why then: one pure function over what is known of it.

The authority's own word goes first (ARI, RFC 9773), then the profile's, then a part of the lifetime. What is revoked,
breaks a policy or was issued by somebody who is not trusted any more is due now, whatever its time is.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

SHORT_LIVED = timedelta(days=10)
"""Below this half of the lifetime is left for the renewal, from here on a third (Let's Encrypt's integration guide)."""
JITTER = 0.01
"""Of the lifetime, to either side: so that what was issued together is not renewed together."""
LEAST_LEFT = 0.05
"""Of the lifetime: whatever anybody says, that much is left for the renewal itself."""
FIXED_ONLY_ABOVE = timedelta(days=200)
"""A fixed time before the end is for long lifetimes: as they shrink it turns into never or always."""

SOONEST_LOOK, LATEST_LOOK = timedelta(minutes=1), timedelta(days=1)
"""What an authority's `Retry-After` is kept within (RFC 9773 §4.3.1)."""
LATEST_LOOK_PUBLIC = timedelta(hours=6)
"""For a public authority: so that a mass revocation, which leaves 24 hours (BR §4.9.1.1), is seen in time."""
LOOK_AFTER_FAULT = timedelta(hours=6)
"""After an error that does not pass by itself (RFC 9773 §4.3.2)."""
_FIRST_WAIT = timedelta(minutes=5)
_MOST_DOUBLINGS = 8


class Reason(StrEnum):
    """Why a certificate is renewed when it is."""

    ARI = "ari"
    """The authority's window."""
    PROFILE = "profile"
    FRACTION = "fraction"
    REVOKED = "revoked"
    NONCOMPLIANT = "noncompliant"
    DISTRUSTED = "distrusted"
    EXPIRING = "expiring"
    """Inventory said so, and the schedule did not know or was later."""
    ASKED = "asked"
    UNKNOWN = "unknown"
    """Nothing is known of the certificate yet."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a certificate."""

    fingerprint: str
    not_before: datetime
    not_after: datetime

    @property
    def lifetime(self) -> timedelta:
        """How long it is valid in all."""
        return self.not_after - self.not_before


@dataclass(frozen=True, kw_only=True)
class Override:
    """What a profile says: a fixed time before the end, or the part of the lifetime after which it is renewed."""

    before: timedelta | None = None
    fraction: float | None = None


@dataclass(frozen=True, kw_only=True)
class Span:
    """An authority's window (RFC 9773 §4.2)."""

    start: datetime
    end: datetime


@dataclass(frozen=True, kw_only=True)
class Forced:
    """Something happened that makes it due."""

    reason: Reason
    at: datetime


@dataclass(frozen=True, kw_only=True)
class When:
    """The instant of a renewal, and why then."""

    at: datetime
    reason: Reason


def when(
    facts: Facts,
    *,
    override: Override | None = None,
    window: Span | None = None,
    forced: Forced | None = None,
) -> When:
    """Return when a certificate is renewed: the same for whoever asks, as long as what is known stays the same.

    What was forced is due at once. A window that ends before it begins says nothing (RFC 9773 §4.2).
    """
    usual = _usual(facts, override=override, window=window)
    if forced is not None and forced.at <= usual.at:
        return When(at=forced.at, reason=forced.reason)
    return usual


def _usual(facts: Facts, *, override: Override | None, window: Span | None) -> When:
    latest = facts.not_after - facts.lifetime * LEAST_LEFT
    if window is not None and window.end > window.start:
        at = window.start + (window.end - window.start) * _share(facts, window)
        return When(at=min(at, latest), reason=Reason.ARI)
    own = _by_profile(facts, override)
    jitter = facts.lifetime * JITTER * (2 * _share(facts) - 1)
    if own is not None:
        return When(at=min(own + jitter, latest), reason=Reason.PROFILE)
    return When(at=default_point(facts) + jitter, reason=Reason.FRACTION)


def default_point(facts: Facts) -> datetime:
    """Return when it is renewed without anybody's word, before the jitter: two thirds in, half for the short-lived."""
    left = facts.lifetime / (2 if facts.lifetime < SHORT_LIVED else 3)
    return facts.not_after - left


def _by_profile(facts: Facts, override: Override | None) -> datetime | None:
    if override is None:
        return None
    if override.fraction is not None:
        return facts.not_before + facts.lifetime * override.fraction
    if override.before is not None and facts.lifetime > FIXED_ONLY_ABOVE and override.before < facts.lifetime:
        return facts.not_after - override.before
    return None


def _share(facts: Facts, window: Span | None = None) -> float:
    """Return a number from 0 up to 1 that is spread evenly over certificates and stays as long as the window does."""
    seed = facts.fingerprint if window is None else f"{facts.fingerprint} {window.start} {window.end}"
    return int.from_bytes(sha256(seed.encode()).digest()[:6]) / 2**48


def spread(fingerprint: str, *, over: timedelta, now: datetime) -> datetime:
    """Return an instant within a while from now that is each certificate's own: for what would come all at once."""
    return now + over * _share(Facts(fingerprint=fingerprint, not_before=now, not_after=now))


def next_look(*, asked: timedelta, is_public: bool, now: datetime) -> datetime:
    """Return when an authority that has answered is asked for its window again."""
    latest = LATEST_LOOK_PUBLIC if is_public else LATEST_LOOK
    return now + min(max(asked, SOONEST_LOOK), latest)


def look_after_failure(*, failed: int, passes: bool, asked: timedelta | None, now: datetime) -> datetime:
    """Return when to ask again after so many failures in a row; `passes` is whether it may pass by itself."""
    if not passes:
        return now + LOOK_AFTER_FAULT
    wait = _FIRST_WAIT * float(2 ** min(max(failed, 1) - 1, _MOST_DOUBLINGS))
    return now + min(max(wait, asked or timedelta()), LOOK_AFTER_FAULT)
