"""The page says what the suite sees."""

from tests.conformance.targets import ROWS
from tests.conformance.targets.page import PAGE, written


def test_the_page_is_as_the_table_is() -> None:
    assert PAGE.read_text() == written(ROWS), "write it with: python -m tests.conformance.targets"
