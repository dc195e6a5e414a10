"""What strikes is known before anything is begun, and nothing is left out."""

import pytest

from tests.chaos.plan import Blow, rounds


@pytest.mark.parametrize("count", [1, 3, 7])
@pytest.mark.parametrize("seed", range(5))
def test_however_few_the_rounds_each_kind_strikes(seed: int, count: int) -> None:
    planned = rounds(seed, count=count)
    assert len(planned) == count
    assert {each.blow for strikes in planned for each in strikes} == set(Blow)


def test_the_rounds_of_a_seed_are_always_the_same() -> None:
    assert rounds(7, count=3) == rounds(7, count=3)
    assert rounds(7, count=3) != rounds(8, count=3)
