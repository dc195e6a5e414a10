"""How answers are shown: tables and documents for people, JSON for programs."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from services.cli.terminal import plain

Column = str | Callable[[Any], object]
"""A field's name, or what makes a cell of a document."""
Columns = Mapping[str, Column]


def table(documents: Iterable[Any], columns: Columns) -> int:
    """Print a table; return how many rows it has. On a terminal a row is one line of it."""
    rows = [[cell(_value(document, column)) for column in columns.values()] for document in documents]
    if not rows:
        return 0
    widths = [max(len(row[at]) for row in [list(columns), *rows]) for at in range(len(columns))]
    most = os.get_terminal_size().columns if sys.stdout.isatty() else None
    for row in [list(columns), *rows]:
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        sys.stdout.write(f"{line if most is None or len(line) <= most else f'{line[: most - 1]}…'}\n")
    return len(rows)


def lines_of_json(documents: Iterable[Any]) -> int:
    """Print a JSON array, an element a line, while it arrives; return how many there are."""
    count = 0
    sys.stdout.write("[")
    for document in documents:
        sys.stdout.write(",\n" if count else "\n")
        sys.stdout.write(json.dumps(document, ensure_ascii=False))
        count += 1
    sys.stdout.write("\n]\n" if count else "]\n")
    return count


def document(found: Any, *, as_json: bool) -> None:
    """Print one document."""
    if as_json:
        sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=2) + "\n")
    elif isinstance(found, str):
        sys.stdout.write(found if found.endswith("\n") else found + "\n")
    elif found is not None:
        sys.stdout.write("\n".join(_block(found, 0)) + "\n")


def _block(found: Any, depth: int) -> Iterable[str]:
    """Yield the lines of a document: names on the left, what is inside of something below it."""
    margin = "  " * depth
    if isinstance(found, Mapping):
        for name, value in found.items():
            if value is None or value in ([], {}):
                continue
            if isinstance(value, Mapping) or _holds_documents(value):
                yield f"{margin}{plain(str(name))}:"
                yield from _block(value, depth + 1)
            else:
                yield f"{margin}{plain(str(name))}: {cell(value)}"
    elif _holds_documents(found):
        for each in found:
            first, *rest = list(_block(each, depth + 1)) or [f"{margin}  -"]
            yield f"{margin}- {first.lstrip()}"
            yield from rest
    else:
        yield f"{margin}{cell(found)}"


def _holds_documents(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(each, Mapping | list) for each in value)


def _value(found: Any, column: Column) -> object:
    return column(found) if callable(column) else found.get(column)


def cell(value: object) -> str:
    """Return a value as one line that can do nothing to a terminal, whoever has written it."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return plain(_moment(value))
    if isinstance(value, Sequence):
        return ", ".join(cell(each) for each in value) or "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={cell(each)}" for name, each in value.items()) or "-"
    return str(value)


def _moment(text: str) -> str:
    """Return a point in time to the second; any other text as it is."""
    if len(text) < len("2027-01-09T00:00:00Z") or text[4:5] != "-" or text[10:11] != "T":
        return text
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%SZ}"
    except ValueError:
        return text
