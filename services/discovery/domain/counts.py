"""The counts of a scan, which must add up."""

from collections.abc import Iterable

from services.discovery.domain.answers import Outcome
from shared.events.discovery import ScanCounts


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
