"""Every kind of channel, each with a receiver of its own: the table that the suite runs on.

To add a kind, write its receiver in a module beside, put it into that module's `ROWS`, and name the module here.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.channels import chat, mail, paging, siem, snmp, tickets
from tests.conformance.channels.bench import Power, Row

ROWS: dict[str, Row] = {
    name: row for each in (mail, snmp, tickets, paging, chat, siem) for name, row in each.ROWS.items()
}


def each(*powers: Power) -> Callable[[Any], Any]:
    """Run a test with the receiver of each row that has these powers."""
    fitting = [name for name, row in ROWS.items() if set(powers) <= row.powers]
    return pytest.mark.parametrize("receiver", fitting, indirect=True)
