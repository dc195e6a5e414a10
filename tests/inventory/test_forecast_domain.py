from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.inventory.domain.forecast import Cohort, Forecast, forecast

TODAY = date(2026, 11, 26)
DAY = timedelta(days=1)


def cohort(*, ends_in: int, lifetime: float, count: int = 1, **others: Any) -> Cohort:
    return Cohort(
        key=others.pop("key", ""),
        ends_on=TODAY + ends_in * DAY,
        lifetime=timedelta(days=lifetime),
        is_public=others.pop("is_public", False),
        is_automated=others.pop("is_automated", True),
        count=count,
        **others,
    )


def ahead(*cohorts: Cohort, days: int = 400, at_lifetime: int = 47) -> Forecast:
    return forecast(cohorts, today=TODAY, days=days, at_lifetime=timedelta(days=at_lifetime), limits={})


def renewed_on(found: Forecast) -> dict[int, int]:
    return {(each.day - TODAY).days: each.renewals for each in found.days if each.renewals}


def test_a_certificate_is_renewed_with_a_third_left_and_so_is_its_successor() -> None:
    assert renewed_on(ahead(cohort(ends_in=50, lifetime=90), days=200)) == {20: 1, 80: 1, 140: 1}


def test_a_short_lived_one_is_renewed_at_half_of_its_life() -> None:
    assert renewed_on(ahead(cohort(ends_in=6, lifetime=6), days=10)) == {3: 1, 6: 1, 9: 1}


def test_one_that_lasts_hours_is_renewed_several_times_a_day() -> None:
    assert renewed_on(ahead(cohort(ends_in=0, lifetime=0.5, count=3), days=2)) == {0: 12, 1: 12}


def test_what_is_overdue_is_due_today() -> None:
    assert renewed_on(ahead(cohort(ends_in=2, lifetime=90, count=5), days=30)) == {0: 5}


def test_public_successors_keep_to_the_ceiling_of_their_day() -> None:
    private = ahead(cohort(ends_in=300, lifetime=398), days=900)
    public = ahead(cohort(ends_in=300, lifetime=398, is_public=True), days=900)
    assert list(renewed_on(private)) == [167, 433, 698]
    days = list(renewed_on(public))
    assert days[0] == 167, "the certificate of today lasts as long as it does"
    gaps = [later - earlier for earlier, later in pairwise(days)]
    assert set(gaps[:-1]) == {66, 67}, "100 days from 15 March 2027 on"
    assert min(gaps) in {31, 32, 66, 67}


def test_ten_thousand_at_47_days_are_319_renewals_a_day() -> None:
    many = [cohort(ends_in=day, lifetime=398, count=100, is_automated=day % 2 == 0) for day in range(100)]
    found = ahead(*many)
    assert round(found.now.a_day) == 38
    assert round(found.then.a_day) == 319
    assert found.then.a_week == 2235
    assert found.then.by_hand_a_day == round(found.then.a_day / 2, 2)
    assert found.by_hand == 5000


def test_a_lifetime_that_is_shorter_already_stays_as_it_is() -> None:
    found = ahead(cohort(ends_in=20, lifetime=30))
    assert found.now == found.then


def test_ceilings_to_come_count_public_certificates_that_last_longer() -> None:
    found = ahead(
        cohort(ends_in=10, lifetime=199, count=3, is_public=True, is_automated=False),
        cohort(ends_in=10, lifetime=90, count=4, is_public=True),
        cohort(ends_in=10, lifetime=3650, count=7),
    )
    assert [(each.ceiling.begins, each.certificates, each.by_hand) for each in found.broken] == [
        (datetime(2027, 3, 15, tzinfo=UTC), 3, 3),
        (datetime(2029, 3, 15, tzinfo=UTC), 7, 3),
    ]


def test_groups_are_the_busiest_first_and_add_up() -> None:
    found = ahead(
        cohort(ends_in=40, lifetime=90, count=2, key="quiet"),
        cohort(ends_in=40, lifetime=90, count=9, key="busy", is_automated=False),
    )
    assert [(group.key, group.certificates, group.by_hand) for group in found.groups] == [
        ("busy", 9, 9),
        ("quiet", 2, 0),
    ]
    assert sum(group.renewals for group in found.groups) == sum(day.renewals for day in found.days)
    assert found.groups[0].busiest_day == 9


@given(
    st.lists(
        st.tuples(
            st.integers(-400, 800), st.integers(1, 825 * 24), st.booleans(), st.booleans(), st.integers(1, 9)
        ),
        max_size=8,
    )
)
def test_every_certificate_ends_once_and_is_renewed_no_later(
    rows: list[tuple[int, int, bool, bool, int]],
) -> None:
    cohorts = [
        cohort(ends_in=ends, lifetime=hours / 24, count=count, is_public=public, is_automated=automated)
        for ends, hours, public, automated, count in rows
    ]
    found = ahead(*cohorts, days=120)
    inside = sum(each.count for each in cohorts if TODAY <= each.ends_on < TODAY + 120 * DAY)
    assert sum(day.expiries for day in found.days) == inside
    assert sum(day.renewals for day in found.days) >= inside
    assert all(day.by_hand <= day.renewals for day in found.days)
    assert found.then.a_day >= found.now.a_day
