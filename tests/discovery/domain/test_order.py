"""What comes in any order, in the order of the walk."""

from hypothesis import given
from hypothesis import strategies as st

from services.discovery.domain.order import InOrder


@given(st.integers(0, 50).flatmap(lambda first: st.permutations(range(first, first + 20))), st.integers(1, 7))
def test_everything_is_given_out_once_in_order_and_never_before_a_gap(numbers: list[int], most: int) -> None:
    order: InOrder[int] = InOrder(min(numbers))
    out: list[int] = []
    for at, number in enumerate(numbers, start=1):
        order.add(number, number)
        out += order.take(most)
        assert set(out) <= set(numbers[:at])
    while len(order):
        out += order.take(most)
    assert out == sorted(numbers)
