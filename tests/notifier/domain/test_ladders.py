"""Thresholds: never at birth, never skipped, never twice, whatever the lifetime, the clock and the outages."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.notifier.domain.ladders import END, Rung, ladder, next_look, passed, read_threshold
from shared.events.notifier import Severity
from tests.notifier.workshop import NOON

DAY = timedelta(days=1)
lifetimes = st.timedeltas(min_value=timedelta(hours=1), max_value=timedelta(days=825))
texts = st.one_of(
    st.integers(1, 400).map(lambda days: f"{days}d"),
    st.integers(1, 900).map(lambda hours: f"{hours}h"),
    st.integers(1, 50).map(lambda share: f"{share}%"),
)
wanted = st.lists(texts, min_size=1, max_size=6, unique=True)


def rungs_of(thresholds: Sequence[str], lifetime: timedelta) -> tuple[Rung, ...]:
    """Return the ladder of a certificate that begins at noon."""
    read = [read_threshold(text) for text in thresholds]
    return ladder(read, not_before=NOON, not_after=NOON + lifetime)


@given(wanted, lifetimes)
def test_no_threshold_is_crossed_at_birth_and_each_has_its_turn(
    thresholds: list[str], lifetime: timedelta
) -> None:
    rungs = rungs_of(thresholds, lifetime)
    assert passed(rungs, known=(), now=NOON) == ()
    assert all(rung.at >= NOON + lifetime / 2 - timedelta(microseconds=1) for rung in rungs)
    assert [rung.at for rung in rungs] == sorted(rung.at for rung in rungs)
    assert {rung.threshold for rung in rungs} == {*thresholds, END}
    assert rungs[-1] == Rung(threshold=END, at=NOON + lifetime, severity=Severity.CRITICAL)


@given(st.lists(st.integers(1, 400), min_size=2, max_size=6, unique=True), lifetimes)
def test_a_longer_span_is_crossed_earlier_however_short_the_lifetime(
    days: list[int], lifetime: timedelta
) -> None:
    rungs = rungs_of([f"{each}d" for each in days], lifetime)
    assert [rung.threshold for rung in rungs] == [f"{each}d" for each in sorted(days, reverse=True)] + [END]


class Watcher:
    """What the worker does, with nothing kept between two looks but what is in the store."""

    def __init__(self, rungs: Sequence[Rung]) -> None:
        self.rungs = rungs
        self.due_at: datetime | None = NOON
        self.crossed: set[str] = set()
        self.told: list[str] = []

    def look(self, now: datetime) -> None:
        """Look, where it is due by this clock."""
        if self.due_at is None or self.due_at > now:
            return
        found = passed(self.rungs, known=self.crossed, now=now)
        self.crossed |= {rung.threshold for rung in found}
        self.told += [rung.threshold for rung in found[-1:]]
        self.due_at = next_look(self.rungs, now=now)


steps = st.one_of(
    st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(hours=3)),
    st.just(7 * DAY),  # an outage of a week
    st.timedeltas(min_value=-3 * DAY, max_value=-timedelta(seconds=1)),  # the clock is put back
    st.timedeltas(min_value=DAY, max_value=60 * DAY),
)


@given(wanted, lifetimes, st.lists(st.tuples(steps, st.booleans()), max_size=25))
@settings(max_examples=60)
def test_restarts_outages_and_changes_of_the_clock_skip_nothing_and_repeat_nothing(
    thresholds: list[str], lifetime: timedelta, leaps: list[tuple[timedelta, bool]]
) -> None:
    rungs = rungs_of(thresholds, lifetime)
    watcher, now, latest = Watcher(rungs), NOON, NOON
    for leap, is_told_again in leaps:
        now += leap
        if is_told_again:  # an event said twice, or a rule that was changed: it is looked at anew
            watcher.due_at = now
        latest = max(latest, now)
        watcher.look(now)
        assert watcher.crossed <= {rung.threshold for rung in rungs if rung.at <= latest}, "none too early"
    watcher.look(now)
    for rung in rungs:
        watcher.look(max(rung.at, latest))
    watcher.look(max(latest, NOON + lifetime))
    assert watcher.crossed == {*thresholds, END}
    assert len(watcher.told) == len(set(watcher.told))
    assert watcher.told[-1] == END


@given(wanted, lifetimes)
@settings(max_examples=40)
def test_who_looks_at_every_instant_is_told_each_threshold_that_has_one_of_its_own(
    thresholds: list[str], lifetime: timedelta
) -> None:
    rungs = rungs_of(thresholds, lifetime)
    watcher = Watcher(rungs)
    for rung in rungs:
        watcher.look(rung.at)
    assert len(watcher.told) == len({rung.at for rung in rungs})


@pytest.mark.parametrize(
    ("lifetime", "left"),
    [
        (398, (90, 60, 30, 7)),
        (200, (90, 60, 30, 7)),
        (90, (45, 30, 15, 3.5)),
        (47, (23.5, 15.67, 7.83, 1.83)),
        (6, (3, 2, 1, 0.23)),
    ],
)
def test_spans_longer_than_half_of_the_lifetime_are_shortened_in_proportion(
    lifetime: int, left: tuple[float, ...]
) -> None:
    rungs = rungs_of(["90d", "60d", "30d", "7d"], lifetime * DAY)
    end = NOON + lifetime * DAY
    assert [(end - rung.at) / DAY for rung in rungs[:-1]] == pytest.approx(left, abs=0.01)


def test_how_bad_it_is_goes_by_the_share_that_is_left_or_by_the_word_of_the_rule() -> None:
    rungs = rungs_of(["33%", "20%", "10%", "5%", "40%=error"], 100 * DAY)
    assert {rung.threshold: rung.severity for rung in rungs} == {
        "40%=error": Severity.ERROR,
        "33%": Severity.INFO,
        "20%": Severity.WARNING,
        "10%": Severity.ERROR,
        "5%": Severity.CRITICAL,
        END: Severity.CRITICAL,
    }


@pytest.mark.parametrize("text", ["", "90", "d", "0d", "-3d", "51%", "0%", "7d=bad", "1e3d", "9 d", "³d"])
def test_what_is_no_threshold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"threshold|half of a lifetime"):
        read_threshold(text)


def test_a_certificate_that_ends_before_it_begins_has_nothing_but_an_end() -> None:
    assert [rung.threshold for rung in rungs_of(["30d"], -DAY)] == [END]
