"""When a telling is tried again."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.domain.deliveries import LONGEST_WAIT, next_attempt, rested
from services.notifier.settings import NotifierSettings
from shared.settings import durations
from tests.notifier.workshop import NOON

WAITS = durations(NotifierSettings().retry_after)


def test_the_schedule_is_that_of_standard_webhooks() -> None:
    tries = [NOON]
    while (
        again := next_attempt(len(tries), waits=WAITS, retry_after=None, jitter=0, now=tries[-1])
    ) is not None:
        tries.append(again)
    hours = [round((later - earlier).total_seconds() / 3600, 3) for earlier, later in pairwise(tries)]
    assert hours == [0.001, 0.083, 0.5, 2, 5, 10, 14, 20, 24]


@given(
    st.integers(1, 9),
    st.none() | st.timedeltas(timedelta(), timedelta(days=1000)),
    st.floats(0, 1),
)
def test_a_wait_is_never_shorter_than_asked_up_to_a_day_and_never_much_longer(
    attempts: int, retry_after: timedelta | None, jitter: float
) -> None:
    again = next_attempt(attempts, waits=WAITS, retry_after=retry_after, jitter=jitter, now=NOON)
    assert again is not None
    wait = again - NOON
    assert wait >= WAITS[attempts - 1]
    assert wait >= min(retry_after or timedelta(), LONGEST_WAIT)
    assert wait <= LONGEST_WAIT * 1.1


@pytest.mark.parametrize(
    ("before", "seconds"),
    [
        (None, 10),
        (timedelta(), 10),
        (-timedelta(seconds=0.5), 9.5),
        (-timedelta(hours=1), 9),
    ],
    ids=["first", "on time", "a little late", "long ago"],
)
def test_a_channel_that_sends_rests_for_its_pace(before: timedelta | None, seconds: float) -> None:
    told = None if before is None else NOON + before
    assert rested(told, per_minute=6, now=NOON) == NOON + timedelta(seconds=seconds)
