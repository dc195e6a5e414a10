"""Whether an authority may be asked now, and who is asked instead."""

from datetime import UTC, datetime, timedelta

from services.renewal.domain.budgets import (
    LETS_ENCRYPT,
    LOOP_MOST,
    Budget,
    Limit,
    Spent,
    afford,
    falls_back,
    is_loop,
    is_public_directory,
    loop_window,
    names_key,
)

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TWO_AN_HOUR = Budget(orders=Limit(most=2, window=HOUR))


def ago(*minutes: float) -> list[datetime]:
    return [NOW - timedelta(minutes=each) for each in minutes]


def test_what_is_within_the_budget_goes_at_once_and_the_next_waits_for_the_oldest_to_leave() -> None:
    assert afford(TWO_AN_HOUR, Spent(orders=ago(30)), replaces=False, now=NOW) is None
    assert afford(TWO_AN_HOUR, Spent(orders=ago(70, 30)), replaces=False, now=NOW) is None
    wait = afford(TWO_AN_HOUR, Spent(orders=ago(50, 30)), replaces=False, now=NOW)
    assert wait is not None
    assert wait.until == NOW + timedelta(minutes=10)
    assert "2 orders were placed" in wait.reason


def test_those_that_wait_take_turns_instead_of_coming_all_at_once() -> None:
    until = []
    for waiting in range(5):
        wait = afford(TWO_AN_HOUR, Spent(orders=ago(50, 30), waiting=waiting), replaces=False, now=NOW)
        assert wait is not None
        until.append((wait.until - NOW) / timedelta(minutes=1))
    assert until == [10, 30, 70, 90, 130]


def test_a_replacement_is_free_where_the_authority_says_so_but_not_for_names_that_fail() -> None:
    spent = Spent(orders=ago(*range(300, 0, -1)))
    free = Budget(orders=Limit(most=2, window=HOUR), exempts_replacements=True)
    assert afford(free, spent, replaces=True, now=NOW) is None
    assert afford(free, spent, replaces=False, now=NOW) is not None
    assert afford(TWO_AN_HOUR, spent, replaces=True, now=NOW) is not None
    failing = Spent(failures=ago(50, 40, 30, 20, 10))
    wait = afford(LETS_ENCRYPT, failing, replaces=True, now=NOW)
    assert wait is not None
    assert wait.until == NOW + timedelta(minutes=10)


def test_the_same_names_have_a_limit_of_their_own() -> None:
    wait = afford(LETS_ENCRYPT, Spent(same_names=ago(5, 4, 3, 2, 1)), replaces=False, now=NOW)
    assert wait is not None
    assert wait.until == NOW - timedelta(minutes=5) + timedelta(days=7)
    assert names_key(["b.test", "a.test"]) == names_key(["a.test", "b.test"])
    assert names_key(["a.test"]) != names_key(["a.test", "b.test"])


def test_only_the_hosts_of_public_authorities_are_public() -> None:
    assert is_public_directory("https://acme-v02.api.letsencrypt.org/directory")
    for url in (
        "https://letsencrypt.org.evil.test/",
        "https://ca.corp.test/acme",
        "",
        "https://evilletsencrypt.org",
    ):
        assert not is_public_directory(url)


def test_a_loop_is_more_renewals_than_a_lifetime_needs() -> None:
    assert loop_window(timedelta(days=90)) == timedelta(days=7)
    assert loop_window(timedelta(hours=1)) == timedelta(minutes=30)
    assert not is_loop(LOOP_MOST - 1)
    assert is_loop(LOOP_MOST)


def test_another_authority_is_asked_when_the_first_keeps_failing_and_time_runs_out() -> None:
    lifetime, plenty, little = timedelta(days=90), timedelta(days=29), timedelta(days=14)
    assert not falls_back(failed=2, is_final=False, left=little, lifetime=lifetime)
    assert falls_back(failed=3, is_final=False, left=little, lifetime=lifetime)
    assert not falls_back(failed=30, is_final=False, left=plenty, lifetime=lifetime)
    assert not falls_back(failed=1, is_final=True, left=plenty, lifetime=lifetime)
    assert falls_back(failed=1, is_final=True, left=little, lifetime=lifetime)
    assert falls_back(failed=3, is_final=False, left=None, lifetime=None)
    assert falls_back(failed=3, is_final=False, left=-little, lifetime=lifetime)
