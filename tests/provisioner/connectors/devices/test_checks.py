"""Trying a device says what works, without changing it."""

import pytest

from tests.conformance.targets import devices, windows
from tests.conformance.targets.bench import Fault
from tests.provisioner.workshop import CALLER, Workshop

ROWS = {**devices.ROWS, **windows.ROWS}


@pytest.mark.parametrize("name", ROWS)
async def test_a_device_that_can_be_worked_on_says_so(
    request: pytest.FixtureRequest, shop: Workshop, name: str
) -> None:
    async with ROWS[name].open(request.getfixturevalue) as bench:
        before = bench.present()
        target = await shop.target(**bench.target)
        checks = await shop.targets.check(target.id, caller=CALLER)
        assert [check.text for check in checks if not check.ok] == []
        assert {check.name for check in checks} > {"reachable", "login"}
        assert bench.present() == before


@pytest.mark.parametrize("name", ROWS)
async def test_a_wrong_credential_is_what_it_ends_at(
    request: pytest.FixtureRequest, shop: Workshop, name: str
) -> None:
    async with ROWS[name].open(request.getfixturevalue) as bench, bench.breaks[Fault.CREDENTIAL](bench):
        target = await shop.target(**bench.target)
        checks = await shop.targets.check(target.id, caller=CALLER)
        assert [(check.name, check.ok) for check in checks][-1] == ("login", False)
