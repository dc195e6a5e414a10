"""A report as CSV (RFC 4180): its tables one after the other, and nothing that a spreadsheet would take for a formula."""

import csv
import io
import re

from services.notifier.domain.reports import Paper

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""How a cell begins that a spreadsheet would run (OWASP, CSV injection)."""
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_MARK = "\ufeff"
"""Without it Excel reads UTF-8 as another encoding."""


def sheet(paper: Paper) -> bytes:
    """Return the tables; where there are several, each has its title on a line before it and an empty line after it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    for number, table in enumerate(paper.tables):
        if len(paper.tables) > 1:
            writer.writerows([[], [harmless(table.title)]] if number else [[harmless(table.title)]])
        writer.writerow([harmless(column.title) for column in table.columns])
        writer.writerows([harmless(cell.text) for cell in row] for row in table.rows)
    return (_MARK + text.getvalue()).encode()


def harmless(text: str) -> str:
    """Return a cell's text as one that is shown and never run."""
    if _NUMBER.fullmatch(text):
        return text
    return f"'{text}" if text.lstrip(" \u00a0").startswith(_FORMULA) else text
