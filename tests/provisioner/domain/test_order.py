from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.provisioner.domain.order import CANARY, REST, SHARE, Waves, arranged, in_waves
from shared.errors import Invalid


def test_what_others_wait_for_comes_first_and_the_rest_stays_as_it_is():
    assert arranged({"origin": ["balancer"], "other": [], "balancer": []}) == ["other", "balancer", "origin"]


def test_what_is_not_there_is_not_waited_for():
    assert arranged({"origin": ["gone"], "other": []}) == ["origin", "other"]


@pytest.mark.parametrize(
    "after", [{"a": ["a"]}, {"a": ["b"], "b": ["a"]}, {"a": ["b"], "b": ["c"], "c": ["a"]}]
)
def test_a_circle_is_refused_and_named(after: dict[str, list[str]]):
    with pytest.raises(Invalid, match=r"wait for one another: .*a"):
        arranged(after)


@pytest.mark.parametrize(
    ("total", "sizes"),
    [(1, (1, 0, 0)), (2, (1, 0, 1)), (4, (1, 0, 3)), (8, (1, 1, 6)), (10, (1, 2, 7)), (100, (1, 24, 75))],
)
def test_one_canary_goes_before_a_quarter_of_all_and_the_rest(total: int, sizes: tuple[int, int, int]):
    waves = list(in_waves([str(number) for number in range(total)], Waves()).values())
    assert tuple(waves.count(wave) for wave in (CANARY, SHARE, REST)) == sizes
    assert waves == sorted(waves)


@given(
    edges=st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9))),
    canaries=st.integers(0, 5),
    share=st.integers(0, 100),
)
def test_nothing_comes_in_an_earlier_wave_than_what_it_waits_for(
    edges: set[tuple[int, int]], canaries: int, share: int
):
    # Edges that lead to a smaller number only have no circles.
    after = {str(number): [str(low) for high, low in edges if high == number > low] for number in range(10)}
    waves = in_waves(arranged(after), Waves(canaries=canaries, share=share, soak=timedelta(), stop_after=1))
    assert all(waves[first] <= waves[each] for each in after for first in after[each])
