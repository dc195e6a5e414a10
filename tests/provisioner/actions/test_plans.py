from datetime import timedelta

import pytest
import sqlalchemy as sa

from services.provisioner.actions.scopes import Scope
from services.provisioner.actions.windows import NewFreeze
from services.provisioner.domain import Hold
from services.provisioner.service import SCHEMA
from shared.access import Principal
from shared.errors import NotFound
from tests.provisioner.actions.conftest import BOTH, bound
from tests.provisioner.conftest import endpoint, slot
from tests.provisioner.ssh_host import SshHost
from tests.provisioner.workshop import CALLER, Workshop
from tests.servers.tls import Issued


async def everything(shop: Workshop) -> list[object]:
    kept: list[object] = []
    async with shop.database.read() as session:
        for metadata in SCHEMA.metadata:
            for table in metadata.sorted_tables:
                kept.extend((await session.execute(sa.select(table))).all())
    return kept


async def test_a_plan_says_exactly_what_is_done_then_and_changes_nothing(
    shop: Workshop, host: SshHost, new: Issued
):
    target = await shop.target(
        host=host.host,
        port=host.port,
        username=host.username,
        host_key=host.host_key,
        credential={"private_key": host.client_key},
        options={"test_command": "true", "reload_command": "reload", "command_prefix": ""},
    )
    binding = await shop.bind(target, slot=slot(host), endpoints=[endpoint(host)])
    await shop.renew(new)
    before = await everything(shop)
    plan = await shop.plans.of_binding(binding.id, caller=CALLER, now=shop.time())
    assert await everything(shop) == before
    assert host.commands == []
    [planned] = plan.slots
    assert plan.latest is not None
    assert plan.latest.fingerprint == new.fingerprint
    assert [each.command for each in planned.steps if each.command] == ["true", "true", "reload"]
    written = {path for each in planned.steps for path in each.files}
    assert written == {str(host.certificate), str(host.key)}
    assert planned.endpoints == [str(endpoint(host))]
    assert any("is pending" in each for each in planned.obstacles)
    await shop.work_off()
    _, steps = await shop.only()
    done = [step.step for step in steps if step.step not in ("fetch key", "compare keys")]
    assert done == [each.step for each in planned.steps if each.step not in ("fetch key", "tidy")]
    assert host.commands == ["true", "true", "reload"]


@BOTH
async def test_a_plan_shows_order_waves_and_when_windows_allow_it(shop: Workshop, hosts: list[SshHost]):
    [balancer] = await bound(shop, hosts[:1])
    origins = await bound(shop, hosts[1:], after=[balancer.id])
    await shop.policy(canaries=1, share=50, approvals_needed=2, watch=60)
    now = shop.time()
    frozen = NewFreeze(
        reason="Black Friday",
        scope=Scope(target_id=origins[0].target_id),
        starts_at=now,
        ends_at=now + timedelta(days=1),
    )
    await shop.windows.freeze(frozen, caller=CALLER, now=now)
    plan = await shop.plans.of_lineage("lineage", caller=CALLER, now=now)
    assert [each.binding.id for each in plan.slots] == [balancer.id, *(each.id for each in origins)]
    assert [(each.position, each.wave) for each in plan.slots] == [(1, 0), (2, 1), (3, 2), (4, 2)]
    assert [each.opens.hold for each in plan.slots] == [None, Hold.FREEZE, None, None]
    assert plan.slots[1].opens.at == frozen.ends_at
    assert plan.slots[1].after == [balancer.slot_key]
    assert plan.policy is not None
    assert (plan.policy.approvals_needed, plan.latest) == (2, None)


async def test_a_plan_of_what_the_caller_does_not_see_is_not_there(shop: Workshop, hosts: list[SshHost]):
    [binding] = await bound(shop, hosts[:1])
    web = Principal(id="web", name="Web", groups=frozenset({"web"}))
    with pytest.raises(NotFound):
        await shop.plans.of_binding(binding.id, caller=web, now=shop.time())
    with pytest.raises(NotFound):
        await shop.plans.of_lineage("lineage", caller=web, now=shop.time())
    with pytest.raises(NotFound):
        await shop.plans.of_lineage("lineage", order_id="another", caller=CALLER, now=shop.time())
