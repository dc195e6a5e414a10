"""Every kind of authority, each on a bench of its own: the table that the suite runs on.

To add a kind, write a module beside with its bench and `ROWS`, and name it here.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.authorities import (
    acme,
    adcs,
    aws_private_ca,
    builtin,
    cmp,
    command,
    digicert,
    ejbca,
    est,
    scep,
    sectigo,
    step_ca,
    vault,
    webhook,
)
from tests.conformance.authorities.bench import Power, Row

ROWS: dict[str, Row] = {
    name: row
    for each in (
        builtin,
        acme,
        vault,
        ejbca,
        adcs,
        digicert,
        sectigo,
        step_ca,
        webhook,
        command,
        aws_private_ca,
        est,
        cmp,
        scep,
    )
    for name, row in each.ROWS.items()
}


def each(*powers: Power, with_method: str | None = None) -> Callable[[Any], Any]:
    """Run a test on the bench of each kind that has these powers, and whose class has a method of this name."""
    fitting = [
        name
        for name, row in ROWS.items()
        if set(powers) <= row.powers and (with_method is None or hasattr(row.kind, with_method))
    ]
    return pytest.mark.parametrize("bench", fitting, indirect=True)
