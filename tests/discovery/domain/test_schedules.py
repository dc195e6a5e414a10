"""When scans that repeat are due."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.discovery.domain.schedules import (
    QuietHours,
    Timing,
    check,
    describe,
    next_run,
    quiet_until,
    read_hours,
    read_zone,
)
from shared.errors import Invalid

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

hours = st.builds(
    QuietHours,
    start=st.times().map(lambda t: t.replace(second=0, microsecond=0, fold=0)),
    end=st.times().map(lambda t: t.replace(second=0, microsecond=0, fold=0)),
    days=st.lists(st.integers(0, 6), min_size=1, max_size=4, unique=True).map(lambda d: tuple(sorted(d))),
)
timings = st.one_of(
    st.builds(
        Timing,
        every=st.integers(60, 10**7).map(lambda n: timedelta(seconds=n)),
        since=st.just(START),
        zone=st.just(BERLIN),
        jitter=st.integers(0, 7200).map(lambda n: timedelta(seconds=n)),
        quiet_hours=st.lists(hours, max_size=2).map(tuple),
    ),
    st.builds(
        Timing,
        cron=st.sampled_from(["30 2 * * *", "*/5 * * * *", "0 0 29 2 *", "15 3 * * 1-5", "0 12 1 */2 *"]),
        since=st.just(START),
        zone=st.sampled_from([BERLIN, ZoneInfo("UTC"), ZoneInfo("Australia/Lord_Howe")]),
        jitter=st.integers(0, 7200).map(lambda n: timedelta(seconds=n)),
        quiet_hours=st.lists(hours, max_size=2).map(tuple),
    ),
)
instants = st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1)).map(lambda d: d.replace(tzinfo=UTC))


def is_possible(timing: Timing) -> bool:
    try:
        check(timing)
    except Invalid:
        return False
    return True


@given(timings.filter(is_possible), instants)
def test_the_next_run_is_later_never_quiet_and_always_the_same(timing: Timing, after: datetime) -> None:
    run = next_run(timing, after=after, key="one")
    assert run is not None
    assert run.at >= run.occurrence > after or timing.since >= after
    assert quiet_until(timing, run.at) is None
    assert next_run(timing, after=after, key="one") == run
    following = next_run(timing, after=run.occurrence, key="one")
    assert following is not None
    assert following.occurrence > run.occurrence, "no occurrence comes twice"


def test_cron_goes_by_the_clocks_of_its_zone() -> None:
    timing = Timing(cron="30 2 * * *", since=START, zone=BERLIN)
    runs = [next_run(timing, after=datetime(2026, month, 5, tzinfo=UTC), key="") for month in (1, 7)]
    assert [run.at.hour for run in runs if run] == [1, 0]


def test_a_time_that_the_clocks_skip_or_repeat_comes_once() -> None:
    timing = Timing(cron="30 2 * * *", since=START, zone=BERLIN)
    for day, month in ((28, 3), (24, 10)):  # the days before the clocks change in 2026
        after = datetime(2026, month, day, 12, tzinfo=UTC)
        first = next_run(timing, after=after, key="")
        assert first is not None
        second = next_run(timing, after=first.occurrence, key="")
        assert second is not None
        assert timedelta(hours=22) < second.at - first.at < timedelta(hours=26)


def test_an_interval_does_not_drift_and_comes_once_after_a_long_sleep() -> None:
    timing = Timing(every=timedelta(hours=1), since=START, zone=BERLIN)
    run = next_run(timing, after=START + timedelta(days=3, minutes=5), key="")
    assert run is not None
    assert run.at == START + timedelta(days=3, hours=1)


def test_jitter_is_within_its_bound_and_differs_between_schedules() -> None:
    timing = Timing(every=timedelta(hours=1), since=START, zone=BERLIN, jitter=timedelta(minutes=10))
    runs = [next_run(timing, after=START, key=str(key)) for key in range(20)]
    late = [run.at - run.occurrence for run in runs if run]
    assert all(timedelta(0) <= each < timedelta(minutes=10) for each in late)
    assert len(set(late)) == 20


def test_quiet_hours_pass_midnight_and_belong_to_the_day_they_begin_on() -> None:
    friday_night = QuietHours(start=time(22), end=time(6), days=(4,))
    timing = Timing(every=timedelta(hours=1), since=START, zone=ZoneInfo("UTC"), quiet_hours=(friday_night,))
    saturday = datetime(2026, 11, 28, 3, tzinfo=UTC)
    assert quiet_until(timing, saturday) == datetime(2026, 11, 28, 6, tzinfo=UTC)
    assert quiet_until(timing, saturday - timedelta(days=1)) is None
    assert quiet_until(timing, saturday + timedelta(days=1)) is None
    run = next_run(timing, after=saturday, key="")
    assert run is not None
    assert run.at == datetime(2026, 11, 28, 6, tzinfo=UTC)


@given(st.lists(hours, max_size=3))
def test_quiet_hours_are_read_as_they_were_written(some: list[QuietHours]) -> None:
    assert read_hours(describe(some)) == tuple(some)


@pytest.mark.parametrize(
    ("timing", "message"),
    [
        (Timing(cron="30 2 * *", since=START, zone=BERLIN), "no cron expression"),
        (Timing(cron="0 0 31 2 *", since=START, zone=BERLIN), "Bad day-of-month"),
        (Timing(since=START, zone=BERLIN), "either"),
        (
            Timing(
                every=timedelta(hours=1),
                since=START,
                zone=BERLIN,
                quiet_hours=(QuietHours(start=time(8), end=time(8)),),
            ),
            "no time at all",
        ),
    ],
)
def test_what_could_never_run_is_refused(timing: Timing, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        check(timing)


def test_a_zone_that_nobody_knows_is_refused() -> None:
    with pytest.raises(Invalid, match="no time zone"):
        read_zone("Middle/Earth")
