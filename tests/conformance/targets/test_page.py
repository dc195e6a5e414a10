"""The page says what the suite sees, and the suite has every kind and fault."""

from collections.abc import Mapping

from services.provisioner.connectors.pull import Pull
from services.provisioner.connectors.registry import TARGETS, Kind
from tests.conformance.targets import ROWS
from tests.conformance.targets.bench import ENDS_DEPLOYED, USUAL, Fault
from tests.conformance.targets.page import PAGE, written

ELSEWHERE: Mapping[Kind, str] = {
    Pull: "nothing goes out to it, and it takes its time: tests/provisioner/test_pulls.py"
}
"""Kinds that this suite does not fit."""


def test_the_page_is_as_the_table_is() -> None:
    assert PAGE.read_text() == written(ROWS), "write it with: python -m tests.conformance.targets"


def test_every_kind_is_in_this_suite_and_every_fault_is_in_the_table() -> None:
    assert {row.kind for row in ROWS.values()} | ELSEWHERE.keys() == set(TARGETS)
    assert {*USUAL, *ENDS_DEPLOYED} == set(Fault)
