"""The way of a scan, and its pieces."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from services.discovery.domain.routes import LARGEST_PIECE, Route, Spread, pieces
from services.discovery.domain.targets import Segment


@given(st.integers(1, 3000), st.integers(0, 2**128))
def test_every_number_comes_once(size: int, key: int) -> None:
    spread = Spread(size, key=key)
    assert sorted(map(spread.at, range(size))) == list(range(size))


def test_neighbours_are_far_apart_in_time() -> None:
    spread = Spread(65536, key=7)
    seen_in = [spread.at(position) // 256 for position in range(256)]
    assert len(set(seen_in)) > 200, "the first 256 looks go to more than 200 of 256 networks"


def test_a_slash_8_is_never_built() -> None:
    segment = Segment(first="10.0.0.0", count=2**24, ports=((443, 443), (8443, 8443)))
    tracemalloc.start()
    route = Route([segment], first_round=segment.size, key=5)
    addresses = {route.at(position).asked.address for position in range(1000)}
    parts = list(pieces(0, segment.size))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(addresses) == 1000
    assert len(parts) == 2**25 / LARGEST_PIECE
    assert peak < 2_000_000


@given(st.integers(0, 10**6), st.integers(0, 10**8))
def test_pieces_are_the_whole_without_gap_or_overlap(first: int, size: int) -> None:
    parts = list(pieces(first, first + size))
    ends = [first, *(end for _, end in parts)]
    assert [start for start, _ in parts] == ends[:-1]
    assert ends[-1] == first + size
    assert all(start < end <= start + LARGEST_PIECE for start, end in parts)


def test_what_a_scan_found_out_by_itself_comes_last_and_in_order() -> None:
    asked = Segment(first="192.0.2.1", count=3, ports=((443, 443),))
    names = Segment(first="192.0.2.2", count=1, ports=((443, 443),), server_names=("a.test", "b.test"))
    route = Route([asked, names], first_round=3, unresolved=2)
    steps = [route.at(position) for position in range(5)]
    assert sorted(step.number for step in steps[:3]) == [0, 1, 2]
    assert [(step.number, step.asked.server_name) for step in steps[3:]] == [(5, "a.test"), (6, "b.test")]
