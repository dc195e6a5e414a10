import csv
import io
import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from services.inventory.domain.exports import COLUMNS, Format, Writer, columns
from shared.errors import Invalid


def _row(**values: object) -> SimpleNamespace:
    return SimpleNamespace(**values)


def _csv(*values: object) -> str:
    return Writer(Format.CSV, ["a"]).rows([_row(a=value) for value in values])


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", '=HYPERLINK("http://x")'])
def test_no_cell_begins_as_a_formula_does(text: str):
    [[cell]] = list(csv.reader(io.StringIO(_csv(text), newline="")))
    assert cell == f"'{text}"


def test_a_name_that_begins_as_a_formula_does_is_none_either():
    assert _csv(["=cmd", "b"]) == "'=cmd b\r\n"


def test_cells_are_quoted_as_rfc_4180_has_it():
    assert (
        _csv('CN="a, b"', "two\nlines", 7, True, None)
        == '"CN=""a, b"""\r\n"two\nlines"\r\n7\r\ntrue\r\n""\r\n'
    )


def test_times_are_in_utc_in_every_format():
    row = _row(at=datetime(2026, 3, 3, 12, tzinfo=UTC))
    assert Writer(Format.CSV, ["at"]).rows([row]) == "2026-03-03T12:00:00Z\r\n"
    assert json.loads(Writer(Format.NDJSON, ["at"]).rows([row])) == {"at": "2026-03-03T12:00:00Z"}


@pytest.mark.parametrize("batches", [[], [[]], [[1]], [[1, 2], [3]], [[1], []], [[], [1]]])
def test_json_is_one_document_however_it_is_cut(batches: list[list[int]]):
    writer = Writer(Format.JSON, ["a"])
    parts = [writer.rows([_row(a=each) for each in batch]) for batch in batches]
    text = writer.begin() + "".join(parts) + writer.end()
    assert json.loads(text) == [{"a": each} for batch in batches for each in batch]


def test_columns_come_once_and_as_asked():
    assert columns(None) == COLUMNS
    assert columns("subject, id,subject") == ("subject", "id")
    with pytest.raises(Invalid, match="secret"):
        columns("id,secret")
