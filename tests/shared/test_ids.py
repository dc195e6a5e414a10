import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import ids
from shared.ids import new_id

MILLISECOND = 1_000_000
LAST = 2**48 - 1
"""The last millisecond that a UUID of version 7 can tell."""


class Stopped:
    """A clock that stands."""

    def __init__(self, nanoseconds: int) -> None:
        self._nanoseconds = nanoseconds

    def time_ns(self) -> int:
        return self._nanoseconds


def made_at(milliseconds: int, *, nanoseconds: int = 0) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ids, "time", Stopped(milliseconds * MILLISECOND + nanoseconds))
        return new_id()


def test_an_id_is_a_uuid_of_version_7_in_its_usual_form():
    made = new_id()
    value = uuid.UUID(made)
    assert (value.version, value.variant) == (7, uuid.RFC_4122)
    assert made == str(value)


@given(st.integers(0, LAST - 1), st.integers(1, 10**6))
def test_an_id_made_in_a_later_millisecond_sorts_after(start: int, step: int):
    assert made_at(start) < made_at(min(start + step, LAST))


@given(st.integers(0, LAST), st.integers(0, MILLISECOND - 251))
def test_ids_of_one_millisecond_sort_as_they_were_made(start: int, nanoseconds: int):
    assert made_at(start, nanoseconds=nanoseconds) < made_at(start, nanoseconds=nanoseconds + 250)


def test_an_id_tells_when_it_was_made():
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_id()).int >> 80
    assert before <= made <= time.time_ns() // 1_000_000


def test_ids_do_not_repeat():
    assert len({new_id() for _ in range(10_000)}) == 10_000
