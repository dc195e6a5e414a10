from datetime import UTC, datetime, timedelta

import pytest

from shared.validity import CEILINGS, ceiling, ceilings_after, exceeded

SECOND = timedelta(seconds=1)
FROM_200 = datetime(2026, 3, 15, tzinfo=UTC)
FROM_100 = datetime(2027, 3, 15, tzinfo=UTC)
FROM_47 = datetime(2029, 3, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "days"),
    [
        (FROM_200 - SECOND, 398),
        (FROM_200, 200),
        (FROM_100 - SECOND, 200),
        (FROM_100, 100),
        (FROM_47 - SECOND, 100),
        (FROM_47, 47),
    ],
)
def test_a_ceiling_holds_from_its_day_on(at: datetime, days: int) -> None:
    longest = timedelta(days=days)
    found = ceiling(at)
    assert found is not None
    assert found.longest == longest
    assert found not in exceeded(longest, at=at)
    assert found in exceeded(longest + SECOND, at=at)


def test_before_the_first_ceiling_nothing_is_too_long() -> None:
    assert ceiling(datetime(2019, 1, 1, tzinfo=UTC)) is None
    assert CEILINGS[0] in exceeded(timedelta(days=1200), at=datetime(2019, 1, 1, tzinfo=UTC))


def test_what_is_exceeded_says_when_a_lifetime_breaks() -> None:
    november = datetime(2026, 11, 26, tzinfo=UTC)
    assert [each.begins for each in ceilings_after(november)] == [FROM_100, FROM_47]
    assert [each.begins for each in exceeded(timedelta(days=90), at=november)] == [FROM_47]
    assert [each.begins for each in exceeded(timedelta(days=398), at=november)] == [
        FROM_200,
        FROM_100,
        FROM_47,
    ]
    assert exceeded(timedelta(days=47), at=november) == ()
