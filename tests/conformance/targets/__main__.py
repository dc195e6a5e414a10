"""`python -m tests.conformance.targets`: writes the page with the table."""

from tests.conformance.targets import ROWS
from tests.conformance.targets.page import PAGE, written

PAGE.write_text(written(ROWS))
