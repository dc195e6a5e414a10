from datetime import UTC, datetime, timedelta

import pytest

from services.provisioner.domain.drift import AGAIN_AFTER, Finding, OnDrift, finding, is_put_right, strange

OURS, OTHER = "a" * 64, "b" * 64
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        pytest.param({"one": OURS, "two": OURS}, Finding.SETTLED, id="all show ours"),
        pytest.param({"one": OURS, "two": OTHER}, Finding.DRIFTED, id="one shows another"),
        pytest.param({"one": None, "two": OTHER}, Finding.DRIFTED, id="one is down, one shows another"),
        pytest.param({"one": OURS, "two": None}, Finding.UNKNOWN, id="one is down"),
        pytest.param({}, Finding.UNKNOWN, id="nobody has looked"),
    ],
)
def test_only_another_certificate_is_drift(seen: dict[str, str | None], found: Finding):
    assert finding(seen, expected=OURS) is found


def test_the_first_place_that_shows_another_one_is_named():
    other = strange({"one": OURS, "two": OTHER}, expected=OURS)
    assert other is not None
    assert (other.place, other.fingerprint) == ("two", OTHER)


@pytest.mark.parametrize(
    ("on_drift", "ago", "puts_right"),
    [
        (OnDrift.ALERT, None, False),
        (OnDrift.RESTORE, None, True),
        (OnDrift.RESTORE, AGAIN_AFTER - timedelta(seconds=1), False),
        (OnDrift.RESTORE, AGAIN_AFTER, True),
    ],
)
def test_it_is_put_right_where_the_binding_says_so_but_not_again_and_again(
    on_drift: OnDrift, ago: timedelta | None, puts_right: bool
):
    last = NOW - ago if ago is not None else None
    assert is_put_right(on_drift, last=last, now=NOW) is puts_right
