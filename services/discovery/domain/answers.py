"""What looking at a place can come to, and the counts that must add up."""

from collections.abc import Iterable
from enum import StrEnum

from shared.events.discovery import ScanCounts


class Outcome(StrEnum):
    """What became of one place that was asked."""

    TLS = "tls"
    NO_TLS = "no_tls"
    """Something answered, and it was not TLS."""
    REFUSED = "refused"
    SILENT = "silent"
    """Nobody answered in time."""
    EXCLUDED = "excluded"
    """Not asked, because the operator's lists say so."""
    FAILED = "failed"
    """It could not be reached, or what it sent could not be read; the reason says why."""


def count(outcomes: Iterable[Outcome]) -> ScanCounts:
    """Count outcomes; the parts add up to `asked`."""
    counts = dict.fromkeys(Outcome, 0)
    asked = 0
    for outcome in outcomes:
        counts[outcome] += 1
        asked += 1
    return ScanCounts(asked=asked, **{outcome.value: number for outcome, number in counts.items()})


def add(left: ScanCounts, right: ScanCounts) -> ScanCounts:
    """Add counts up."""
    return ScanCounts(
        **{name: getattr(left, name) + getattr(right, name) for name in ScanCounts.model_fields}
    )
