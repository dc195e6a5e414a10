"""Decides what a campaign does: who can be replaced by which profile, when the next wave begins, when it will be over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.renewal.domain.adoption import Facts, Offer, fits

RATE_OVER = timedelta(minutes=15)
"""The forecast goes by how many were done in this time."""


class CampaignState(StrEnum):
    """Where a campaign is."""

    PLANNING = "planning"
    PLANNED = "planned"
    AWAITING_APPROVAL = "awaiting_approval"
    RUNNING = "running"
    PAUSED = "paused"
    ABORTED = "aborted"
    FINISHED = "finished"


class ItemState(StrEnum):
    """Where one certificate of a campaign is."""

    PLANNED = "planned"
    ORDERED = "ordered"
    RENEWED = "renewed"
    """The new one is there; that it is in place was not seen yet."""
    REPLACED = "replaced"
    """The new one was seen in every place of the old one."""
    FAILED = "failed"
    BY_HAND = "by-hand"
    """No profile can replace it: a person must."""
    SKIPPED = "skipped"
    """The campaign was aborted before its turn."""


OVER = frozenset({ItemState.REPLACED, ItemState.FAILED, ItemState.BY_HAND, ItemState.SKIPPED})
"""Nothing more is done about an item in these states."""
ALIVE = (CampaignState.RUNNING, CampaignState.PAUSED, CampaignState.ABORTED, CampaignState.FINISHED)
"""What was ordered in these states comes to its end."""


class Until(StrEnum):
    """What the next wave waits for."""

    RENEWED = "renewed"
    REPLACED = "replaced"


@dataclass(frozen=True, kw_only=True)
class Waves:
    """How fast a campaign goes: a first wave to learn from, then equal ones."""

    first: int = 10
    size: int = 1000
    in_flight: int = 200
    """Orders at a time."""
    until: Until = Until.REPLACED
    stop_at: float = 0.05
    """The share of a wave that may fail; with more the campaign pauses."""

    def of(self, position: int) -> int:
        """Return the wave of the item at this position, both counted from 0."""
        return 0 if position < self.first else 1 + (position - self.first) // self.size


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """By what the certificates are to be replaced."""

    profiles: Sequence[str] = ()
    """Names, the first that allows a certificate's names is taken; empty for whichever fits best."""
    not_from: Sequence[str] = ()
    """Names of authorities that must not issue the new ones."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which profile replaces a certificate, or what is in the way."""

    offer: Offer | None
    obstacle: str | None = None
    next_step: str | None = None


def choose(
    facts: Facts, offers: Sequence[Offer], *, enrolled: str | None, wishes: Wishes, now: datetime
) -> Choice:
    """Return the profile for a certificate: one that was wished for, else its enrolment's (a name), else what fits best."""
    allowed = [offer for offer in offers if offer.authority not in wishes.not_from]
    if wishes.profiles:
        named = {offer.profile: offer for offer in allowed}
        allowed = [named[name] for name in wishes.profiles if name in named]
    if not allowed:
        return Choice(
            offer=None,
            obstacle="There is no profile that the campaign may use.",
            next_step="Make one with POST /v1/profiles, or name others in the campaign.",
        )
    found = fits(facts, allowed, now=now)
    usable = [fit.offer for fit in found if fit.obstacle is None]
    if not usable:
        return Choice(
            offer=None,
            obstacle=found[0].obstacle,
            next_step="Make a profile for its names, or replace it by hand and let a scan see it.",
        )
    return Choice(offer=_preferred(usable, enrolled=enrolled, wishes=wishes))


def _preferred(usable: Sequence[Offer], *, enrolled: str | None, wishes: Wishes) -> Offer:
    order = wishes.profiles or ([enrolled] if enrolled else [])
    by_name = {offer.profile: offer for offer in usable}
    return next((by_name[name] for name in order if name in by_name), usable[0])


def by_campaign(campaign_id: str) -> str:
    """Return on whose word things are done that a campaign wants."""
    return f"campaign {campaign_id}"


def is_by_campaign(created_by: str) -> bool:
    """Return whether a campaign wants it: then it was approved as a part of that."""
    return created_by.startswith("campaign ")


Counts = Mapping[ItemState, int]


class Next(StrEnum):
    """What is to be done when a wave was looked at."""

    GO_ON = "go-on"
    NEXT_WAVE = "next-wave"
    STOP = "stop"


def judge(counts: Counts, *, waves: Waves, forgiven: int = 0) -> Next:
    """Return what becomes of a wave whose items are in these states; a person has forgiven so many failures.

    What is done by hand is in no wave.
    """
    total = sum(counts.values())
    if counts.get(ItemState.FAILED, 0) - forgiven > waves.stop_at * total:
        return Next.STOP
    done = sum(counts.get(state, 0) for state in OVER)
    if waves.until is Until.RENEWED:
        done += counts.get(ItemState.RENEWED, 0)
    return Next.NEXT_WAVE if done == total else Next.GO_ON


def is_over(counts: Counts) -> bool:
    """Return whether nothing of a campaign is left to be done."""
    return all(state in OVER for state, number in counts.items() if number)


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """When a campaign will be over at the pace of late; empty where that cannot be told."""

    per_hour: float
    ends_at: datetime | None

    def is_late(self, deadline: datetime | None) -> bool:
        """Return whether it will not be over by then."""
        return deadline is not None and self.ends_at is not None and self.ends_at > deadline


def forecast(*, left: int, lately: int, over: timedelta, now: datetime) -> Forecast:
    """Return the end of a campaign with so many left, where `lately` were done in the time `over`."""
    if not left:
        return Forecast(per_hour=0.0, ends_at=now)
    if not lately or over <= timedelta():
        return Forecast(per_hour=0.0, ends_at=None)
    return Forecast(per_hour=lately / (over / timedelta(hours=1)), ends_at=now + over * (left / lately))
