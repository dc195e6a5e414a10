"""How certificates are written into a file: CSV that no spreadsheet takes for a formula, JSON, or JSON lines."""

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from shared.errors import Fault, Invalid

COLUMNS = (
    "fingerprint",
    "subject",
    "issuer",
    "serial",
    "names",
    "not_before",
    "not_after",
    "key_type",
    "key_bits",
    "key_fingerprint",
    "signature_algorithm",
    "is_ca",
    "is_self_issued",
    "is_current",
    "urgency",
    "lineage_id",
    "owner_id",
    "first_known_at",
    "finding",
    "id",
)
"""What can be exported, called as the API calls it."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would run (OWASP, CSV injection)."""


class Format(StrEnum):
    """What an export is written as."""

    CSV = "csv"
    JSON = "json"
    NDJSON = "ndjson"


def columns(text: str | None) -> Sequence[str]:
    """Read the columns that are wanted, with commas between them; all of them by default. Raises `Invalid`."""
    names = COLUMNS if text is None else tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        raise Invalid(
            f"These are no columns: {', '.join(unknown)[:200]}.",
            next_step=f"Name some of {', '.join(COLUMNS)}, with commas between them.",
            faults=[Fault(pointer="/query/columns", message="not columns of an export")],
        )
    return names


class Writer:
    """Writes rows in one format, a batch at a time: `begin`, then `rows` as often as there are any, then `end`."""

    def __init__(self, form: Format, names: Sequence[str]) -> None:
        self._form = form
        self._names = names
        self._is_first = True

    def begin(self) -> str:
        """Return what comes before all rows."""
        if self._form is Format.CSV:
            return _csv([self._names])
        return "[" if self._form is Format.JSON else ""

    def rows(self, rows: Sequence[Any]) -> str:
        """Return rows, of which every column is an attribute."""
        if self._form is Format.CSV:
            return _csv([[_cell(getattr(row, name)) for name in self._names] for row in rows])
        written = [self._object(row) for row in rows]
        if self._form is Format.NDJSON:
            return "".join(f"{line}\n" for line in written)
        before = "\n" if self._is_first else ",\n"
        self._is_first = self._is_first and not written
        return before + ",\n".join(written) if written else ""

    def end(self) -> str:
        """Return what comes after all rows."""
        return "\n]\n" if self._form is Format.JSON else ""

    def _object(self, row: Any) -> str:
        return json.dumps({name: _plain(getattr(row, name)) for name in self._names}, ensure_ascii=False)


def _csv(lines: Sequence[Sequence[str]]) -> str:
    """Return lines as RFC 4180 has them."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return text.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        text = " ".join(value)
    elif isinstance(value, bool):
        text = str(value).lower()
    else:
        text = str(_plain(value))
    return f"'{text}" if text.startswith(_FORMULA) else text


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value
