"""Who is told, and when it is tried again."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.domain.deliveries import LONGEST_WAIT, Routing, next_attempt, recipients
from services.notifier.settings import NotifierSettings
from shared.events.notifier import Severity
from shared.settings import durations
from tests.notifier.workshop import NOON

WAITS = durations(NotifierSettings().retry_after)


def rule(
    min_severity: Severity = Severity.WARNING,
    *problems: str,
    channels: frozenset[str] | None = None,
    groups: frozenset[str] = frozenset(),
) -> Routing:
    """Return a rule."""
    return Routing(min_severity=min_severity, problems=frozenset(problems), channels=channels, groups=groups)


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ([], []),
        ([rule()], ["a", "b"]),
        ([rule(Severity.CRITICAL)], []),
        ([rule(Severity.ERROR, channels=frozenset({"b"}))], ["b"]),
        ([rule(Severity.INFO, "stale")], []),
        ([rule(Severity.INFO, "stale", "expiring", channels=frozenset({"a", "gone"}))], ["a"]),
        ([rule(Severity.CRITICAL), rule(channels=frozenset({"a"}))], ["a"]),
    ],
)
def test_an_alert_goes_to_the_channels_that_some_rule_names(rules: list[Routing], told: list[str]) -> None:
    assert _told(rules, enabled={"a": frozenset(), "b": frozenset()}) == told


def _told(
    rules: list[Routing], *, enabled: dict[str, frozenset[str]], groups: frozenset[str] = frozenset()
) -> list[str]:
    return recipients(rules, problem="expiring", severity=Severity.ERROR, groups=groups, enabled=enabled)


WEB, MAIL = frozenset({"web"}), frozenset({"mail"})
CHANNELS = {"all": frozenset[str](), "web": WEB, "mail": MAIL}


@pytest.mark.parametrize(
    ("rules", "groups", "told"),
    [
        ([rule()], frozenset(), ["all"]),
        ([rule()], WEB, ["all", "web"]),
        ([rule()], WEB | MAIL, ["all", "web", "mail"]),
        ([rule(channels=frozenset({"mail"}))], WEB, []),
        ([rule(groups=MAIL)], WEB, []),
        ([rule(groups=MAIL)], frozenset(), []),
        ([rule(groups=MAIL)], MAIL, ["mail"]),
        ([rule(groups=MAIL, channels=frozenset({"all"}))], MAIL, ["all"]),
        ([rule(groups=MAIL)], WEB | MAIL, ["mail"]),
    ],
)
def test_channels_and_rules_that_are_in_groups_hear_of_nothing_in_others(
    rules: list[Routing], groups: frozenset[str], told: list[str]
) -> None:
    assert _told(rules, groups=groups, enabled=CHANNELS) == told


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
