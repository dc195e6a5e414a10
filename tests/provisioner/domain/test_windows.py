from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.provisioner.domain import Hold
from services.provisioner.domain.windows import (
    Freeze,
    Weekly,
    Window,
    check_weekly,
    opening,
    read_time_zone,
)
from shared.errors import Invalid

HOUR = timedelta(hours=1)
BERLIN = ZoneInfo("Europe/Berlin")
SATURDAY, SUNDAY = 5, 6


def window(*weekly: Weekly, zone: str = "Europe/Berlin") -> Window:
    return Window(name="nights", time_zone=zone, weekly=weekly)


def night(day: int, start: str = "02:30", hours: int = 1) -> Weekly:
    return Weekly(day=day, start=time.fromisoformat(start), duration=hours * HOUR)


def freeze(start: datetime, end: datetime) -> Freeze:
    return Freeze(reason="Black Friday", starts_at=start, ends_at=end)


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


def test_without_windows_and_freezes_it_is_now():
    now = berlin("2026-11-27T10:00")
    opens = opening(windows=[], freezes=[], now=now)
    assert (opens.at, opens.hold, opens.reason) == (now, None, None)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-27T10:00", "2026-11-28T22:00"),
        ("2026-11-28T21:59:59", "2026-11-28T22:00"),
        ("2026-11-28T22:00", "2026-11-28T22:00"),
        ("2026-11-29T01:59:59", "2026-11-29T01:59:59"),
        ("2026-11-29T02:00", "2026-12-05T22:00"),
    ],
)
def test_a_window_is_open_from_its_start_up_to_its_end_over_midnight(now: str, opens: str):
    found = opening(windows=[window(night(SATURDAY, "22:00", 4))], freezes=[], now=berlin(now))
    assert found.at == berlin(opens)
    assert found.hold == (None if now == opens else Hold.WINDOW)


def test_where_clocks_are_put_forward_over_its_start_it_opens_after_the_gap():
    # On 29 March 2026 02:00 becomes 03:00 in Berlin: 02:30 does not exist.
    found = opening(windows=[window(night(SUNDAY))], freezes=[], now=berlin("2026-03-28T12:00"))
    assert found.at == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert found.at.astimezone(BERLIN).time() == time(3, 30)


def test_where_clocks_are_put_back_over_its_start_it_opens_once_and_lasts_as_long():
    # On 25 October 2026 03:00 becomes 02:00 in Berlin: 02:30 is there twice.
    windows = [window(night(SUNDAY))]
    first = opening(windows=windows, freezes=[], now=berlin("2026-10-24T12:00")).at
    assert first == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    after = opening(windows=windows, freezes=[], now=first + HOUR)
    assert after.at == berlin("2026-11-01T02:30")


def test_a_window_keeps_its_time_on_the_wall_over_the_year():
    found = [
        opening(windows=[window(night(SATURDAY, "22:00"))], freezes=[], now=berlin(now)).at
        for now in ("2026-07-03T12:00", "2026-12-04T12:00")
    ]
    assert [at.hour for at in found] == [20, 21]
    assert {at.astimezone(BERLIN).hour for at in found} == {22}


def test_any_of_several_windows_will_do():
    windows = [window(night(SATURDAY, "22:00")), window(night(4, "12:00"), zone="UTC")]
    found = opening(windows=windows, freezes=[], now=datetime(2026, 11, 27, 10, tzinfo=UTC))
    assert found.at == datetime(2026, 11, 27, 12, tzinfo=UTC)


def test_a_freeze_closes_windows_and_says_why():
    now = berlin("2026-11-28T23:00")
    freezes = [freeze(berlin("2026-11-27T00:00"), berlin("2026-12-06T00:00"))]
    found = opening(windows=[window(night(SATURDAY, "22:00", 4))], freezes=freezes, now=now)
    assert (found.at, found.hold) == (berlin("2026-12-06T00:00"), Hold.FREEZE)
    assert "Black Friday" in (found.reason or "")


def test_what_opens_in_a_freeze_opens_after_it():
    freezes = [freeze(berlin("2026-11-28T00:00"), berlin("2026-12-01T00:00"))]
    found = opening(
        windows=[window(night(SATURDAY, "22:00"))], freezes=freezes, now=berlin("2026-11-27T10:00")
    )
    assert (found.at, found.hold) == (berlin("2026-12-05T22:00"), Hold.WINDOW)


@given(
    now=st.datetimes(min_value=datetime(2024, 1, 1), max_value=datetime(2030, 1, 1)),
    day=st.integers(0, 6),
    minute=st.integers(0, 1439),
    duration=st.integers(1, 7 * 24 * 60),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe"]),
)
def test_the_opening_is_never_before_and_never_more_than_a_week_and_a_gap_away(
    now: datetime, day: int, minute: int, duration: int, zone: str
):
    weekly = Weekly(day=day, start=time(minute // 60, minute % 60), duration=timedelta(minutes=duration))
    at = now.replace(tzinfo=UTC)
    opens = opening(windows=[window(weekly, zone=zone)], freezes=[], now=at)
    assert at <= opens.at <= at + timedelta(days=7, hours=2)
    assert opening(windows=[window(weekly, zone=zone)], freezes=[], now=opens.at).hold is None


@pytest.mark.parametrize("minutes", [0, -1, 7 * 24 * 60 + 1])
def test_a_window_of_no_time_or_of_more_than_a_week_is_refused(minutes: int):
    with pytest.raises(Invalid):
        check_weekly([Weekly(day=0, start=time(1), duration=timedelta(minutes=minutes))])


@pytest.mark.parametrize("name", ["Europe/Nowhere", "../etc/passwd", "", "/etc/passwd"])
def test_a_time_zone_that_is_none_is_refused(name: str):
    with pytest.raises(Invalid):
        read_time_zone(name)
