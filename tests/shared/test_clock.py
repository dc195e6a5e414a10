"""An instant that a caller sends is a text with an offset; a span is told in units that are always as long."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.clock import Duration, Moment, in_iso

MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)
DURATION: TypeAdapter[timedelta] = TypeAdapter(Duration)


def test_a_text_with_an_offset_is_an_instant():
    assert MOMENT.validate_python("2026-11-23T09:30:00+01:00") == datetime(2026, 11, 23, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize("value", [0, 1.5, "0.5", "1764318600", "-1e3", "2026-11-23T08:30:00"])
def test_a_number_and_a_text_without_an_offset_are_none(value: object):
    with pytest.raises(ValidationError):
        MOMENT.validate_python(value)


@pytest.mark.parametrize(
    ("span", "told"),
    [
        (timedelta(), "P0D"),
        (timedelta(days=398), "P398D"),
        (timedelta(hours=4), "PT4H"),
        (timedelta(seconds=3630), "PT1H0M30S"),
        (timedelta(days=1, minutes=5), "P1DT5M"),
        (timedelta(seconds=1.5), "PT1.5S"),
    ],
)
def test_a_span_is_told_in_days_and_below_without_a_gap_and_read_as_what_it_was(span: timedelta, told: str):
    assert in_iso(span) == told
    assert DURATION.dump_json(span).decode() == f'"{told}"'
    assert DURATION.validate_python(told) == span


def test_the_contract_says_that_a_span_is_a_duration_as_sent_and_as_told():
    for mode in ("validation", "serialization"):
        assert DURATION.json_schema(mode=mode) == {"type": "string", "format": "duration"}
