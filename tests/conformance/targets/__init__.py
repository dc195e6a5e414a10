"""Every kind of target, each on a bench of its own: the table that the suite runs on.

To add a kind, write a module beside with its bench and `ROWS`, and name it here; then run `python -m
tests.conformance.targets` to write the page.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.targets import aws, clouds, devices, files, products, receivers, windows
from tests.conformance.targets.bench import Fault, Row

MODULES = (files, products, devices, windows, clouds, aws, receivers)
ROWS: dict[str, Row] = {name: row for each in MODULES for name, row in each.ROWS.items()}


def on_each(*faults: Fault) -> Callable[[Any], Any]:
    """Run a test on the bench of each kind, with each of these faults that makes sense for it."""
    cases = [
        pytest.param(name, fault, id=f"{name}-{fault.name.lower()}")
        for name, row in ROWS.items()
        for fault in faults
        if fault not in row.senseless
    ]
    return pytest.mark.parametrize(("bench", "fault"), cases, indirect=["bench"])
