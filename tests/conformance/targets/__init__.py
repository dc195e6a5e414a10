"""Every kind of target, each on a bench of its own: the table that the suite runs on.

To add a kind, write a module beside with its bench and `ROWS`, and name it here; then run `python -m
tests.conformance.targets` to write the page.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from tests.conformance.targets import aws, clouds, devices, files, products, receivers, windows
from tests.conformance.targets.bench import Fault, Row

HOSTS: dict[str, Row] = {name: row for each in (files, products) for name, row in each.ROWS.items()}
_OTHERS = (devices, windows, clouds, aws, receivers)
APIS: dict[str, Row] = {name: row for each in _OTHERS for name, row in each.ROWS.items()}
ROWS = {**HOSTS, **APIS}


def on_each(*faults: Fault) -> Callable[[Any], Any]:
    """Run a test on the bench of each kind of its module's `ROWS`, with each of these faults that makes sense for it."""

    def marked(test: Any) -> Any:
        test.faults = faults
        return test

    return marked


def cases(rows: Mapping[str, Row], faults: Sequence[Fault]) -> list[Any]:
    """Return the parameters of such a test: the name of a row, and a fault."""
    return [
        pytest.param(name, fault, id=f"{name}-{fault.name.lower()}")
        for name, row in rows.items()
        for fault in faults
        if fault not in row.senseless
    ]
