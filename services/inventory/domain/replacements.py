"""Whether an old certificate has been replaced everywhere, or is still served somewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class State(StrEnum):
    """How far a replacement has come."""

    OPEN = "open"
    STALE = "stale"
    """The old certificate was seen where the new one should be by now."""
    REPLACED = "replaced"


@dataclass(frozen=True, kw_only=True)
class OldPlace:
    """A place that, as far as we know, serves the old certificate."""

    place_id: str
    last_seen: datetime


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What has been observed about the old and the new certificate."""

    still_old: Sequence[OldPlace]
    is_new_served: bool
    are_all_gone: bool
    """The old one had places while it was being replaced, and none of them answers any more."""
    observed_at: datetime | None
    """The latest look at the places that changed or are gone."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What was decided about a replacement before."""

    state: State
    opened_at: datetime
    deployed_at: datetime | None
    """When the last target was given the new certificate."""
    replaced_at: datetime | None
    told: frozenset[str]
    """The places that were told to be stale."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is to be decided now; `is_news` says whether others must be told."""

    state: State
    is_news: bool
    stale: frozenset[str] = frozenset()


def overdue_at(standing: Standing, *, stale_after: timedelta) -> datetime | None:
    """Return when an open replacement whose old places were not looked at again becomes stale."""
    if standing.state is State.REPLACED:
        return None
    return (standing.deployed_at or standing.opened_at) + stale_after


def judge(standing: Standing, evidence: Evidence, *, now: datetime, stale_after: timedelta) -> Verdict:
    """Decide from what was seen; the order in which it became known makes no difference."""
    if standing.state is State.REPLACED:
        return _after_replaced(standing, evidence)
    if not evidence.still_old:
        is_over = evidence.is_new_served or evidence.are_all_gone
        return Verdict(state=State.REPLACED if is_over else standing.state, is_news=is_over)
    stale = _stale_places(standing, evidence, now=now, stale_after=stale_after)
    if not stale:
        return Verdict(state=standing.state, is_news=False)
    return Verdict(state=State.STALE, is_news=bool(stale - standing.told), stale=stale)


def _after_replaced(standing: Standing, evidence: Evidence) -> Verdict:
    """Begin again where the old one came back; an old observation that arrives late changes nothing."""
    since = standing.replaced_at or standing.opened_at
    back = frozenset(place.place_id for place in evidence.still_old if place.last_seen > since)
    return Verdict(state=State.STALE if back else State.REPLACED, is_news=bool(back), stale=back)


def _stale_places(
    standing: Standing, evidence: Evidence, *, now: datetime, stale_after: timedelta
) -> frozenset[str]:
    overdue = overdue_at(standing, stale_after=stale_after)
    if overdue is not None and now >= overdue:
        return frozenset(place.place_id for place in evidence.still_old)
    since = standing.deployed_at
    if since is None:
        return frozenset()
    return frozenset(place.place_id for place in evidence.still_old if place.last_seen > since)
