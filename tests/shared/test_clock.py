"""An instant that a caller sends is a text with an offset."""

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.clock import Moment

MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


def test_a_text_with_an_offset_is_an_instant():
    assert MOMENT.validate_python("2026-11-23T09:30:00+01:00") == datetime(2026, 11, 23, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize("value", [0, 1.5, "0.5", "1764318600", "-1e3", "2026-11-23T08:30:00"])
def test_a_number_and_a_text_without_an_offset_are_none(value: object):
    with pytest.raises(ValidationError):
        MOMENT.validate_python(value)
