"""When a certificate is renewed: the table of what is usual, and who has the last word."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.renewal.domain.schedule import (
    JITTER,
    LOOK_AFTER_FAULT,
    Facts,
    Forced,
    Override,
    Reason,
    Span,
    default_point,
    look_after_failure,
    next_look,
    spread,
    when,
)

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
PRINT = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"


def facts(days: float, fingerprint: str = PRINT) -> Facts:
    return Facts(fingerprint=fingerprint, not_before=BEGIN, not_after=BEGIN + timedelta(days=days))


@pytest.mark.parametrize(
    ("lifetime", "renewed_on_day", "left"),
    [(6, 3, 3), (47, 31.3333, 15.6667), (90, 60, 30), (200, 133.3333, 66.6667), (398, 265.3333, 132.6667)],
)
def test_the_golden_table(lifetime: float, renewed_on_day: float, left: float) -> None:
    certificate = facts(lifetime)
    point = default_point(certificate)
    assert (point - BEGIN) / timedelta(days=1) == pytest.approx(renewed_on_day, abs=1e-4)
    assert (certificate.not_after - point) / timedelta(days=1) == pytest.approx(left, abs=1e-4)
    found = when(certificate)
    assert found.reason is Reason.FRACTION
    assert abs(found.at - point) <= certificate.lifetime * JITTER


def test_what_is_issued_together_is_not_renewed_together_and_each_keeps_its_instant() -> None:
    several = [when(facts(90, f"{number:064x}")).at for number in range(200)]
    assert len(set(several)) == 200
    assert max(several) - min(several) > timedelta(days=90) * JITTER
    assert several == [when(facts(90, f"{number:064x}")).at for number in range(200)]


def test_the_authority_goes_before_the_profile_and_that_before_the_lifetime() -> None:
    window = Span(start=BEGIN + timedelta(days=10), end=BEGIN + timedelta(days=12))
    override = Override(fraction=0.5)
    by_authority = when(facts(90), override=override, window=window)
    assert by_authority.reason is Reason.ARI
    assert window.start <= by_authority.at < window.end
    by_profile = when(facts(90), override=override)
    assert by_profile.reason is Reason.PROFILE
    assert abs(by_profile.at - (BEGIN + timedelta(days=45))) <= timedelta(days=0.9)


def test_a_window_is_picked_from_anew_only_when_it_changes() -> None:
    window = Span(start=BEGIN + timedelta(days=10), end=BEGIN + timedelta(days=12))
    assert when(facts(90), window=window) == when(facts(90), window=window)
    moved = replace(window, end=window.end + timedelta(days=1))
    assert when(facts(90), window=moved).at != when(facts(90), window=window).at


@pytest.mark.parametrize("length", [timedelta(0), timedelta(days=-1)])
def test_a_window_that_ends_before_it_begins_says_nothing(length: timedelta) -> None:
    start = BEGIN + timedelta(days=10)
    assert when(facts(90), window=Span(start=start, end=start + length)).reason is Reason.FRACTION


def test_a_window_in_the_past_is_due_now() -> None:
    window = Span(start=BEGIN - timedelta(days=3), end=BEGIN - timedelta(days=2))
    assert when(facts(90), window=window).at < BEGIN


def test_a_fixed_time_before_the_end_is_for_long_lifetimes_alone() -> None:
    override = Override(before=timedelta(days=30))
    assert when(facts(398), override=override).reason is Reason.PROFILE
    assert when(facts(200), override=override).reason is Reason.FRACTION
    assert when(facts(6), override=override).reason is Reason.FRACTION


@given(
    days=st.floats(0.1, 4000),
    start=st.floats(-10, 5000),
    length=st.floats(0.001, 500),
    fraction=st.one_of(st.none(), st.floats(0.1, 0.95)),
)
def test_whatever_anybody_says_there_is_time_left(
    days: float, start: float, length: float, fraction: float | None
) -> None:
    certificate = facts(days)
    window = Span(start=BEGIN + timedelta(days=start), end=BEGIN + timedelta(days=start + length))
    for span in (None, window):
        found = when(certificate, override=Override(fraction=fraction), window=span)
        assert found.at <= certificate.not_after - certificate.lifetime * 0.049


def test_what_was_forced_is_due_at_once_and_never_later_than_it_was() -> None:
    forced = Forced(reason=Reason.REVOKED, at=BEGIN + timedelta(days=5))
    assert when(facts(90), forced=forced) == when(facts(90), forced=forced)
    assert when(facts(90), forced=forced).reason is Reason.REVOKED
    late = replace(forced, at=BEGIN + timedelta(days=80))
    assert when(facts(90), forced=late).reason is Reason.FRACTION


def test_an_authority_is_asked_again_within_a_minute_and_a_day() -> None:
    hours = timedelta(hours=1)
    assert next_look(asked=timedelta(0), is_public=False, now=BEGIN) == BEGIN + timedelta(minutes=1)
    assert next_look(asked=48 * hours, is_public=False, now=BEGIN) == BEGIN + 24 * hours
    assert next_look(asked=48 * hours, is_public=True, now=BEGIN) == BEGIN + 6 * hours
    assert next_look(asked=2 * hours, is_public=True, now=BEGIN) == BEGIN + 2 * hours


def test_errors_that_pass_are_asked_about_sooner_than_those_that_stay() -> None:
    def wait(failed: int, *, passes: bool = True, asked: timedelta | None = None) -> timedelta:
        return look_after_failure(failed=failed, passes=passes, asked=asked, now=BEGIN) - BEGIN

    assert [wait(failed) for failed in (1, 2, 3)] == [timedelta(minutes=5 * 2**n) for n in range(3)]
    assert wait(1, asked=timedelta(hours=1)) == timedelta(hours=1)
    assert wait(50) == LOOK_AFTER_FAULT
    assert wait(1, passes=False) == LOOK_AFTER_FAULT


def test_what_would_come_all_at_once_is_spread() -> None:
    day = timedelta(days=1)
    instants = [spread(f"{number:064x}", over=day, now=BEGIN) for number in range(100)]
    assert all(BEGIN <= each < BEGIN + day for each in instants)
    assert max(instants) - min(instants) > day / 2
