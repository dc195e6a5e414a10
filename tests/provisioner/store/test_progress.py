from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.provisioner import store
from services.provisioner.domain import Phase, State
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
async def test_with_its_end_the_target_is_let_go_of(shop: Workshop, claimed: store.Deployment):
    store.finish(claimed, state=State.DEPLOYED, now=NOW)
    await store.end(shop.database, claimed, lease="ours", steps=[])
    kept, _ = await shop.deployments.get(claimed.id, caller=CALLER)
    assert (kept.phase, kept.state, kept.next_attempt_at) == (Phase.OVER, State.DEPLOYED, None)
    assert await _lease(shop.database, claimed) is None


async def _lease(database: Database, row: store.Deployment) -> str | None:
    async with database.read() as session:
        return (await session.get_one(store.Target, row.target_id)).lease
