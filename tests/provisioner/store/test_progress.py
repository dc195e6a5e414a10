from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from services.provisioner import store
from services.provisioner.domain import Phase, State
from services.provisioner.domain.key_requests import KeyState
from shared.ids import new_id
from shared.store import Database
from tests.provisioner.actions.conftest import BOTH
from tests.provisioner.conftest import endpoint, known, slot
from tests.provisioner.ssh_host import SshHost
from tests.provisioner.workshop import CALLER, Workshop
from tests.servers.tls import Issued

NOW = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
async def claimed(shop: Workshop, host: SshHost, new: Issued) -> store.Deployment:
    """A deployment that is worked on with the lease `ours`."""
    target = await known(shop, host)
    await shop.bind(target, slot=slot(host), endpoints=[endpoint(host)])
    await shop.renew(new)
    now = shop.time()
    claim = await store.claim(shop.database, lease="ours", until=now + timedelta(minutes=1), now=now)
    assert claim is not None
    assert claim.has_begun
    return claim.whole.deployment


def noted(row: store.Deployment, step: str) -> store.Noted:
    return store.Noted(
        id=new_id(), deployment_id=row.id, attempt=1, at=NOW, step=step, ok=True, text="It is done."
    )


@BOTH
async def test_how_far_it_has_come_is_kept_with_its_steps(shop: Workshop, claimed: store.Deployment):
    claimed.phase, claimed.undo, claimed.served_before = Phase.BINDING, {"files": []}, [None, "a" * 64]
    claimed.sealed_key, claimed.updated_at = b"sealed", NOW
    steps = [noted(claimed, "one"), noted(claimed, "two")]
    await store.go_on(shop.database, claimed, lease="ours", steps=steps)
    kept, told = await shop.deployments.get(claimed.id, caller=CALLER)
    assert (kept.phase, kept.undo, kept.served_before) == (Phase.BINDING, {"files": []}, [None, "a" * 64])
    assert (kept.sealed_key, kept.updated_at, kept.state) == (b"sealed", NOW, State.RUNNING)
    assert {(each.step, each.at, each.ok) for each in told} == {("one", NOW, True), ("two", NOW, True)}


@BOTH
@pytest.mark.parametrize("change", [store.go_on, store.end])
async def test_without_the_lease_nothing_at_all_is_kept(
    shop: Workshop, claimed: store.Deployment, change: Any
):
    claimed.phase, claimed.state, claimed.updated_at = Phase.OVER, State.DEPLOYED, NOW
    with pytest.raises(store.LeaseLost):
        await change(shop.database, claimed, lease="another", steps=[noted(claimed, "one")])
    kept, told = await shop.deployments.get(claimed.id, caller=CALLER)
    assert (kept.phase, kept.state, list(told)) == (Phase.START, State.RUNNING, [])
    assert await _lease(shop.database, claimed) == "ours"


@BOTH
async def test_that_it_is_in_place_is_kept_with_its_steps_and_what_was_seen_in_its_slot(
    shop: Workshop, claimed: store.Deployment
):
    claimed.phase, claimed.state, claimed.deployed_at, claimed.updated_at = (
        Phase.TIDYING,
        State.DEPLOYED,
        NOW,
        NOW,
    )
    async with shop.database.driven() as unit:
        await store.hold(unit, claimed, lease="ours")
        rest = await store.keep_in_place(
            unit, claimed, lease="ours", look_at=NOW, steps=[noted(claimed, "one"), noted(claimed, "two")]
        )
    assert rest == store.Rest(others=False, keys=False)
    kept, told = await shop.deployments.get(claimed.id, caller=CALLER)
    assert (kept.phase, kept.state, kept.deployed_at) == (Phase.TIDYING, State.DEPLOYED, NOW)
    assert {each.step for each in told} == {"one", "two"}
    binding = await shop.bindings.get(claimed.binding_id, caller=CALLER)
    assert (binding.fingerprint, binding.deployed_at, binding.look_at) == (claimed.fingerprint, NOW, NOW)


@pytest.fixture
async def both(shop: Workshop, host: SshHost, new: Issued) -> list[store.Deployment]:
    """Two deployments of one order, worked on with the leases `0` and `1`."""
    for number in range(2):
        target = await known(shop, host, f"web-{number}")
        await shop.bind(target, slot={"certificate_path": f"/tls/{number}.pem"}, endpoints=[])
    await shop.renew(new)
    now = shop.time()
    claims = [
        await store.claim(shop.database, lease=lease, until=now + timedelta(minutes=1), now=now)
        for lease in "01"
    ]
    return [claim.whole.deployment for claim in claims if claim is not None]


async def _in_place(
    shop: Workshop, row: store.Deployment, *, lease: str, meanwhile: anyio.Event | None = None
) -> store.Rest:
    row.phase, row.state, row.updated_at = Phase.TIDYING, State.DEPLOYED, NOW
    async with shop.database.driven() as unit:
        await store.hold(unit, row, lease=lease)
        rest = await store.keep_in_place(unit, row, lease=lease, look_at=None, steps=[])
        if meanwhile is not None:
            meanwhile.set()
            await anyio.sleep(0.1)
    return rest


@BOTH
async def test_of_two_of_an_order_that_end_at_once_one_is_the_last(
    shop: Workshop, both: list[store.Deployment]
):
    first, second = both
    told: dict[str, store.Rest] = {}
    holds = anyio.Event()

    async def end_first() -> None:
        told["first"] = await _in_place(shop, first, lease="0", meanwhile=holds)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(end_first)
        await holds.wait()
        told["second"] = await _in_place(shop, second, lease="1")
    assert told == {
        "first": store.Rest(others=True, keys=False),
        "second": store.Rest(others=False, keys=False),
    }


@BOTH
async def test_keys_for_its_order_or_its_slot_are_said_and_those_that_wait_in_vain_are_cleared(
    shop: Workshop, both: list[store.Deployment]
):
    row, other = both
    await _ask_for_key(shop, "older", binding_id=row.binding_id, told_at=row.renewed_at - timedelta(days=1))
    await _ask_for_key(shop, "newer", binding_id=row.binding_id, told_at=row.renewed_at + timedelta(days=1))
    await _ask_for_key(shop, row.order_id, binding_id=None, told_at=row.renewed_at)
    rest = await _in_place(shop, row, lease="0")
    assert rest.keys
    async with shop.database.driven() as unit:
        await store.key_is_bound(unit, order_id=row.order_id, now=NOW)
        await store.clear_older_keys(unit, binding_id=row.binding_id, older_than=row.renewed_at, now=NOW)
    states = {order: (await shop.key_request(order)).state for order in ("older", "newer", row.order_id)}
    assert states == {
        "older": KeyState.CLEARING,
        "newer": KeyState.BROUGHT,
        row.order_id: KeyState.OVER,
    }
    assert (await shop.key_request("older")).next_attempt_at == NOW
    assert (await _in_place(shop, other, lease="1")).keys, "a key was asked for, for its order"


async def _ask_for_key(shop: Workshop, order: str, *, binding_id: str | None, told_at: datetime) -> None:
    async with shop.database.transaction() as tx:
        tx.session.add(
            store.KeyRequest(
                order_id=order,
                lineage_id="lineage",
                names=["shop.test"],
                key_type="ecdsa-p256",
                expires_at=told_at + timedelta(days=30),
                told_at=told_at,
                state=KeyState.BROUGHT,
                binding_id=binding_id,
                updated_at=told_at,
            )
        )


@BOTH
async def test_that_it_is_in_place_is_not_kept_without_the_lease(shop: Workshop, claimed: store.Deployment):
    claimed.phase, claimed.state, claimed.updated_at = Phase.TIDYING, State.DEPLOYED, NOW

    async def keep() -> None:
        async with shop.database.driven() as unit:
            await store.hold(unit, claimed, lease="another")
            await store.keep_in_place(unit, claimed, lease="another", look_at=None, steps=[])

    with pytest.raises(store.LeaseLost):
        await keep()
    kept, _ = await shop.deployments.get(claimed.id, caller=CALLER)
    assert (kept.phase, kept.state) == (Phase.START, State.RUNNING)


@BOTH
async def test_with_its_end_the_target_is_let_go_of(shop: Workshop, claimed: store.Deployment):
    store.finish(claimed, state=State.DEPLOYED, now=NOW)
    await store.end(shop.database, claimed, lease="ours", steps=[])
    kept, _ = await shop.deployments.get(claimed.id, caller=CALLER)
    assert (kept.phase, kept.state, kept.next_attempt_at) == (Phase.OVER, State.DEPLOYED, None)
    assert await _lease(shop.database, claimed) is None


async def _lease(database: Database, row: store.Deployment) -> str | None:
    async with database.read() as session:
        return (await session.get_one(store.Target, row.target_id)).lease
