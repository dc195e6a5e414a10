"""What every deployment over SSH does beside: steps in their order, owner and mode, and the next attempt after a change."""

import stat
from datetime import timedelta
from pathlib import Path

import pytest

from services.provisioner.actions.targets import TargetChange
from services.provisioner.domain import Failure, State
from tests.conformance.targets.bench import Bench
from tests.provisioner.workshop import CALLER, Workshop
from tests.servers.tls import Issued

BOTH = pytest.mark.parametrize("bench", ["files", "nginx"], indirect=True)
STEPS = ["connect", "compare keys", "stage", "test", "swap", "test again", "reload", "read back", "verify"]


@BOTH
async def test_its_steps_are_told_in_order_and_the_place_too(
    bench: Bench, shop: Workshop, new: Issued
) -> None:
    await bench.bound(shop)
    await shop.renew(new)
    await shop.work_off()
    row, steps = await shop.only()
    assert row.state == State.DEPLOYED, row.reason
    assert [step.step for step in steps if step.step != "fetch key"] == STEPS


@BOTH
async def test_owner_and_mode_stay_and_the_chain_is_there(bench: Bench, shop: Workshop, new: Issued) -> None:
    certificate, key = Path(bench.slot["certificate_path"]), Path(bench.slot["key_path"])
    certificate.chmod(0o604)
    key.chmod(0o640)
    await bench.bound(shop)
    await shop.renew(new)
    await shop.work_off()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (certificate, key)] == [0o604, 0o640]
    assert certificate.read_bytes() == new.chain_pem


@BOTH
async def test_after_a_failure_the_next_attempt_succeeds_with_the_key_that_is_here(
    bench: Bench, shop: Workshop, new: Issued
) -> None:
    options = bench.target["options"]
    bench.target["options"] = {**options, "reload_command": "false"}
    await bench.bound(shop)
    await shop.renew(new)
    await shop.work_off()
    row, _ = await shop.only()
    assert (row.state, row.failure) == (State.RESTORED, Failure.RELOAD_FAILED)
    await shop.targets.change(
        row.target_id, TargetChange(options=options), if_match=None, caller=CALLER, now=shop.time()
    )
    shop.time.passes(timedelta(minutes=1))
    await shop.work_off()
    assert (await shop.only())[0].state == State.DEPLOYED
    assert await bench.served() == new.fingerprint == bench.present()
    assert len(shop.vault.asked) == 1
