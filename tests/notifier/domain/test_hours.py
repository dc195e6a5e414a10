"""Business hours, also where the clocks change."""

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.notifier.domain.hours import Hours, Weekday, next_multiple
from tests.notifier.workshop import NOON

BERLIN = Hours(zone="Europe/Berlin")


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        ("2026-11-25T12:00", "2026-11-25T12:00"),  # a Wednesday at 13:00 there
        ("2026-11-25T02:00", "2026-11-25T07:00"),
        ("2026-11-25T17:00", "2026-11-26T07:00"),  # it closes at 18:00 there
        ("2026-11-27T20:00", "2026-11-30T07:00"),  # Friday night, Monday morning
        ("2026-03-27T20:00", "2026-03-30T06:00"),  # summer time begins on that Sunday
        ("2026-10-23T20:00", "2026-10-26T07:00"),  # and ends on this one
    ],
)
def test_what_waits_for_people_waits_until_they_are_at_work(at: str, opens: str) -> None:
    def read(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    assert BERLIN.next_open(read(at)) == read(opens)


@given(
    st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2030, 1, 1), timezones=st.just(UTC)),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]),
    st.sets(st.sampled_from(list(Weekday)), min_size=1),
)
def test_the_next_opening_is_soon_and_is_an_opening(at: datetime, zone: str, days: set[Weekday]) -> None:
    hours = Hours(zone=zone, days=tuple(days))
    found = hours.next_open(at)
    assert at <= found <= at + timedelta(days=8)
    assert hours.next_open(found) == found


@pytest.mark.parametrize(
    "wrong",
    [
        {"zone": "Europe/Atlantis"},
        {"zone": "../../etc/passwd"},
        {"zone": "UTC", "opens": time(18), "closes": time(8)},
        {"zone": "UTC", "days": ()},
    ],
)
def test_hours_that_are_none_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Hours.model_validate(wrong)


def test_digests_keep_a_beat_that_is_the_same_for_all() -> None:
    every = timedelta(hours=6)
    assert next_multiple(NOON, every=every) == NOON + every
    assert next_multiple(NOON + timedelta(seconds=1), every=every) == NOON + every
