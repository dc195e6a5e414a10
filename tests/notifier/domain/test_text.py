"""Whatever text comes in, what goes out is one harmless line."""

import unicodedata
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.domain.text import clean, span

ANY_TEXT = st.text(st.characters(), max_size=400)


@given(ANY_TEXT)
def test_cleaned_text_is_one_short_visible_line_that_can_be_encoded(text: str) -> None:
    shown = clean(text)
    assert len(shown) <= 253
    assert len(shown.splitlines()) <= 1
    assert not any(unicodedata.category(char).startswith("C") for char in shown)
    shown.encode()


@given(st.text(st.characters(categories=["L", "N", "P"]), max_size=253))
def test_harmless_text_is_left_as_it_is(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(days=3, hours=23), "3 days"),
        (timedelta(days=1), "1 day"),
        (timedelta(hours=23, minutes=59), "23 hours"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(seconds=59), "less than a minute"),
        (timedelta(), "less than a minute"),
    ],
)
def test_a_duration_is_told_in_its_largest_unit_rounded_down(length: timedelta, words: str) -> None:
    assert span(length) == words
