from datetime import timedelta

from services.provisioner.domain import Failure, Phase, State
from shared.events.provisioner import CertificateDeployed, DeploymentFailed
from tests.provisioner.actions.conftest import BOTH, bound, serving
from tests.provisioner.ssh_host import SshHost
from tests.provisioner.workshop import Workshop
from tests.servers.tls import Issued

SECONDS = timedelta(seconds=10)


async def watched(shop: Workshop, host: SshHost, new: Issued) -> None:
    await bound(shop, [host])
    await shop.policy(watch=30)
    await shop.renew(new)
    await shop.work_off()


async def test_what_is_in_place_is_deployed_when_it_was_watched_for_long_enough(
    shop: Workshop, host: SshHost, new: Issued
):
    await watched(shop, host, new)
    row, _ = await shop.only()
    assert (row.state, row.phase, row.sealed_key) == (State.WATCHING, Phase.WATCHING, None)
    assert row.undo is not None
    assert await shop.events(CertificateDeployed) == []
    for _ in range(3):
        shop.time.passes(SECONDS)
        await shop.work_off()
    row, steps = await shop.only()
    assert (row.state, row.phase, row.undo) == (State.DEPLOYED, Phase.OVER, None)
    assert [step.step for step in steps].count("watch") == 1
    assert len(await shop.events(CertificateDeployed)) == 1
    assert serving([host], new) == [True]


@BOTH
async def test_what_does_not_stay_in_place_is_put_back_with_its_key(
    shop: Workshop, host: SshHost, old: Issued, new: Issued
):
    await watched(shop, host, new)
    assert serving([host], new) == [True]
    # The server falls over a while after its reload, and serves what it had before.
    kept = host.certificate.with_name(f"{host.certificate.name}.everleaf-old")
    key = host.key.with_name(f"{host.key.name}.everleaf-old")
    served = (kept.read_bytes(), key.read_bytes())
    host.fail()
    shop.time.passes(SECONDS)
    await shop.work_off()
    row, steps = await shop.only()
    assert (row.state, row.failure, row.restored) == (State.RESTORED, Failure.NOT_SERVED, True)
    assert (host.certificate.read_bytes(), host.key.read_bytes()) == served
    assert served[0] == old.chain_pem
    assert "restore" in [step.step for step in steps]
    [failed] = await shop.events(DeploymentFailed)
    assert failed.restored
    assert await shop.events(CertificateDeployed) == []


async def test_a_newer_certificate_waits_until_the_watch_has_ended(
    shop: Workshop, host: SshHost, old: Issued, new: Issued
):
    await watched(shop, host, new)
    shop.time.passes(timedelta(seconds=1))
    await shop.renew(old)
    await shop.work_off()
    assert serving([host], new) == [True]
    for _ in range(7):
        shop.time.passes(SECONDS)
        await shop.work_off()
    assert await shop.states() == [State.DEPLOYED, State.DEPLOYED]
    assert serving([host], old) == [True]
