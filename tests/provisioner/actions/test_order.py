from datetime import timedelta

import pytest

from services.provisioner.actions.bindings import BindingChange
from services.provisioner.domain import Hold, State
from shared.errors import Invalid, Stale
from tests.provisioner.actions.conftest import BOTH, bound, fails_to_reload, reloads_again, serving
from tests.provisioner.ssh_host import SshHost
from tests.provisioner.workshop import CALLER, Workshop
from tests.servers.tls import Issued

MINUTE = timedelta(minutes=1)


@BOTH
async def test_an_origin_waits_for_its_load_balancer(shop: Workshop, hosts: list[SshHost], new: Issued):
    [origin] = await bound(shop, hosts[:1])
    [balancer] = await bound(shop, hosts[1:2])
    change = BindingChange(after=[balancer.id])
    await shop.bindings.change(origin.id, change, if_match=None, caller=CALLER, now=shop.time())
    fails_to_reload(hosts[1])
    await shop.renew(new)
    await shop.work_off()
    [waiting] = await shop.deployments.page(after=None, limit=9, caller=CALLER, binding_id=origin.id)
    assert (waiting.state, waiting.hold) == (State.WAITING, Hold.DEPENDENCY)
    assert f"web-{hosts[1].port} (restored)" in (waiting.hold_reason or "")
    assert serving(hosts[:2], new) == [False, False]
    reloads_again(hosts[1])
    shop.time.passes(MINUTE)
    await shop.work_off()
    assert serving(hosts[:2], new) == [True, True]


async def test_what_comes_first_lets_the_others_go_at_once(shop: Workshop, hosts: list[SshHost], new: Issued):
    [balancer] = await bound(shop, hosts[:1])
    origins = await bound(shop, hosts[1:], after=[balancer.id])
    assert [each.after for each in origins] == [[balancer.id]] * 3
    await shop.renew(new)
    await shop.work_off()
    assert serving(hosts, new) == [True] * 4


async def test_bindings_that_would_wait_for_one_another_are_refused(shop: Workshop, hosts: list[SshHost]):
    [first] = await bound(shop, hosts[:1])
    [second] = await bound(shop, hosts[1:2], after=[first.id])
    with pytest.raises(Invalid, match="wait for one another"):
        await shop.bindings.change(
            first.id, BindingChange(after=[second.id]), if_match=None, caller=CALLER, now=shop.time()
        )
    with pytest.raises(Invalid, match="no binding"):
        await bound(shop, hosts[2:3], after=["another lineage's"])
    assert (await shop.bindings.get(first.id, caller=CALLER)).after == []


async def test_what_comes_first_and_is_taken_back_holds_nobody(
    shop: Workshop, hosts: list[SshHost], new: Issued
):
    [balancer] = await bound(shop, hosts[:1])
    await bound(shop, hosts[1:2], after=[balancer.id])
    fails_to_reload(hosts[0])
    await shop.renew(new)
    await shop.work_off()
    assert serving(hosts[:2], new) == [False, False]
    await shop.bindings.delete(balancer.id, caller=CALLER, now=shop.time())
    await shop.work_off()
    assert serving(hosts[:2], new) == [False, True]


async def test_a_binding_that_was_changed_meanwhile_is_not_changed_again(
    shop: Workshop, hosts: list[SshHost]
):
    [binding] = await bound(shop, hosts[:1])
    await shop.bindings.change(
        binding.id, BindingChange(after=[]), if_match='"1"', caller=CALLER, now=shop.time()
    )
    with pytest.raises(Stale):
        await shop.bindings.change(
            binding.id, BindingChange(after=[]), if_match='"1"', caller=CALLER, now=shop.time()
        )


@BOTH
async def test_a_slot_is_left_alone_while_another_deployment_is_half_done_in_it(
    shop: Workshop, host: SshHost, old: Issued, new: Issued
):
    await bound(shop, [host])
    fails_to_reload(host)
    host.refuses_renames_after = 2
    await shop.renew(new)
    await shop.work_off()
    await shop.renew(new, order="newer")
    await shop.work_off()
    rows = await shop.deployments.page(after=None, limit=9, caller=CALLER)
    assert [(row.phase, row.hold) for row in rows] == [("start", Hold.SLOT), ("restoring", None)]
    reloads_again(host)
    host.refuses_renames_after = None
    for _ in range(2):
        shop.time.passes(MINUTE)
        await shop.work_off()
    assert await shop.states() == [State.SUPERSEDED, State.DEPLOYED]
    assert serving([host], new) == [True]
