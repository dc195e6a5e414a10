"""When a certificate becomes urgent: shares of its own lifetime, or spans where those are shorter."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from shared.events.inventory import Urgency

SHORT_LIVED = timedelta(days=10)
_RENEW_BY_SHARE = (Urgency.RENEW, Urgency.WARNING, Urgency.ERROR, Urgency.CRITICAL)
_LONG = dict(zip(_RENEW_BY_SHARE, (1 / 3, 0.25, 0.15, 0.07), strict=True))
_SHORT = dict(zip(_RENEW_BY_SHARE, (1 / 2, 0.40, 0.25, 0.125), strict=True))
_ORDER = tuple(Urgency)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A threshold of the operator's own: a share of the lifetime, or a span that remains."""

    share: float | None = None
    """More than 0 and less than 1; takes the place of the usual share."""
    span: timedelta | None = None
    """Holds where it is shorter than the usual share of the lifetime."""


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """The instant from which a certificate counts as this urgent."""

    urgency: Urgency
    at: datetime


def crossings(
    *, not_before: datetime, not_after: datetime, limits: Mapping[Urgency, Limit]
) -> tuple[Crossing, ...]:
    """Return when each threshold is crossed, least urgent first, each later than the one before.

    A lifetime of ten days or more is divided at 1/3, 25 %, 15 % and 7 % remaining, a shorter one
    at 1/2, 40 %, 25 % and 12.5 %;
    a span is never longer than that, so none is crossed at birth. A certificate that ends before it
    begins only expires.
    """
    lifetime = not_after - not_before
    expired = Crossing(urgency=Urgency.EXPIRED, at=not_after)
    if lifetime <= timedelta():
        return (expired,)
    remaining = _remaining(lifetime, tuple(limits.items()))
    return (*(Crossing(urgency=urgency, at=not_after - left) for urgency, left in remaining.items()), expired)


def half_life(*, not_before: datetime, not_after: datetime) -> datetime:
    """Return when half of a lifetime is over: who is told of its end at thresholds of their own is told none before that."""
    return not_before + max(not_after - not_before, timedelta()) / 2


@lru_cache(1_000)
def _remaining(lifetime: timedelta, limits: tuple[tuple[Urgency, Limit], ...]) -> Mapping[Urgency, timedelta]:
    """Return what remains at each threshold; an authority gives most of its certificates the same lifetime."""
    own = dict(limits)
    # The last second counts (CA/Browser Forum BR §6.3.2), so a "10 day" certificate lasts 10 days less one second.
    shares = _SHORT if lifetime + timedelta(seconds=1) < SHORT_LIVED else _LONG
    remaining: dict[Urgency, timedelta] = {}
    before, share_before = lifetime, 1.0
    for urgency, share in shares.items():
        left = _wanted(lifetime, share, own.get(urgency))
        if left >= before:
            left = before * (share / share_before)
        remaining[urgency] = left
        before, share_before = left, share
    return remaining


def _wanted(lifetime: timedelta, share: float, limit: Limit | None) -> timedelta:
    if limit is None:
        return lifetime * share
    if limit.share is not None:
        return lifetime * limit.share
    return min(limit.span or lifetime, lifetime * share)


def rank(urgency: Urgency) -> int:
    """Return how urgent it is, as a number that grows with urgency."""
    return _ORDER.index(urgency)


def most_urgent(urgencies: list[Urgency]) -> Urgency | None:
    """Return the most urgent one, or None of none."""
    return max(urgencies, key=rank, default=None)
