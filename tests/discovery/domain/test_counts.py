"""Counts."""

from hypothesis import given
from hypothesis import strategies as st

from services.discovery.domain.answers import Outcome
from services.discovery.domain.counts import add, count
from shared.events.discovery import ScanCounts

outcomes = st.lists(st.sampled_from(Outcome))


def parts(counts: ScanCounts) -> int:
    return sum(value for name, value in counts.model_dump().items() if name != "asked")


@given(outcomes, outcomes)
def test_the_parts_always_add_up_to_what_was_asked(first: list[Outcome], second: list[Outcome]) -> None:
    counts = add(count(first), count(second))
    assert counts.asked == parts(counts) == len(first) + len(second)
