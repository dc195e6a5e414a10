"""What a place served and when, from observations that may arrive in any order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from shared.errors import Fault, Invalid


@dataclass(frozen=True, kw_only=True)
class Serving:
    """A stretch of time in which a place was seen with one certificate, or (None) did not answer."""

    fingerprint: str | None
    since: datetime
    last_seen: datetime
    until: datetime | None = None
    """When it was first seen otherwise; None while it is the latest."""


def observe(window: Sequence[Serving], *, fingerprint: str | None, at: datetime) -> tuple[Serving, ...]:
    """Return the window with one observation worked in.

    `window` holds the servings beside the instant `at`, oldest first: the last that began by then
    and the next one, as far as there are any. A newer observation is never overridden by an older
    one; two at the very same instant leave the first standing.
    """
    before = [serving for serving in window if serving.since <= at]
    after = [serving for serving in window if serving.since > at]
    seen = Serving(fingerprint=fingerprint, since=at, last_seen=at)
    if before and before[-1].fingerprint == fingerprint:
        last_seen = max(before[-1].last_seen, at)
        return _joined([*before[:-1], replace(before[-1], last_seen=last_seen), *after], window)
    if before and at in (before[-1].since, before[-1].last_seen):
        return tuple(window)
    if before and at < before[-1].last_seen:
        return _joined([*before[:-1], *_split(before[-1], seen), *after], window)
    if after and after[0].fingerprint == fingerprint:
        return _joined([*before, replace(after[0], since=at), *after[1:]], window)
    return _joined([*before, seen, *after], window)


def _split(around: Serving, seen: Serving) -> tuple[Serving, Serving, Serving]:
    """Cut a serving in two; of each half only the instants are kept that are sure to have been seen."""
    left = replace(around, last_seen=around.since)
    return left, seen, replace(around, since=around.last_seen)


def _joined(servings: Sequence[Serving], window: Sequence[Serving]) -> tuple[Serving, ...]:
    ends = [later.since for later in servings[1:]]
    return tuple(
        replace(serving, until=until)
        for serving, until in zip(servings, [*ends, window[-1].until if window else None], strict=True)
    )


def period(*, at: datetime | None, on: date | None) -> tuple[datetime, datetime] | None:
    """Return an instant or a day as a period. Raises `Invalid` where both are given."""
    if at is not None and on is not None:
        raise Invalid(
            "`at` and `on` say two different things.",
            next_step="Give an instant with `at`, or a whole day with `on`.",
            faults=[Fault(pointer="/query/on", message="given beside `at`")],
        )
    if on is not None:
        begins = datetime(on.year, on.month, on.day, tzinfo=UTC)
        return begins, begins + timedelta(days=1) if on < date.max else begins
    return (at, at) if at is not None else None
