"""When to look again."""

from datetime import UTC, datetime, timedelta

from services.discovery.domain.watches import MOST_LOOKS, is_another_miss, next_look

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_looks_come_less_often_and_end() -> None:
    waits = []
    for looks in range(1, MOST_LOOKS):
        at = next_look(looks, now=NOW)
        assert at is not None
        waits.append(at - NOW)
    assert waits == sorted(waits)
    assert waits[0] == timedelta(seconds=5)
    assert sum(waits, timedelta()) > timedelta(days=80)
    assert next_look(MOST_LOOKS, now=NOW) is None


def test_looks_close_to_one_another_count_as_one_miss() -> None:
    assert is_another_miss(None, now=NOW)
    assert not is_another_miss(NOW - timedelta(seconds=35), now=NOW)
    assert is_another_miss(NOW - timedelta(minutes=2), now=NOW)
