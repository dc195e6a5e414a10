"""When to look again."""

from datetime import UTC, datetime, timedelta

from services.discovery.domain.watches import MOST_LOOKS, next_look

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_looks_come_less_often_and_end() -> None:
    waits = []
    for looks in range(1, MOST_LOOKS):
        at = next_look(looks, now=NOW)
        assert at is not None
        waits.append(at - NOW)
    assert waits == sorted(waits)
    assert waits[0] == timedelta(seconds=5)
    assert sum(waits, timedelta()) > timedelta(days=30)
    assert next_look(MOST_LOOKS, now=NOW) is None
