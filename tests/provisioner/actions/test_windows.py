from datetime import UTC, datetime, time, timedelta

import pytest

from services.provisioner import store
from services.provisioner.actions.scopes import Scope
from services.provisioner.actions.windows import FreezeChange, NewFreeze, NewWindow, WindowChange
from services.provisioner.domain import Hold, State
from services.provisioner.domain.windows import Weekly
from shared.access import Principal
from shared.errors import Conflict, Forbidden, Invalid, NotFound
from shared.events.provisioner import WindowOverridden
from tests.provisioner.actions.conftest import BOTH, bound, fails_to_reload, serving
from tests.provisioner.ssh_host import SshHost
from tests.provisioner.workshop import CALLER, Workshop
from tests.servers.tls import Issued

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def in_an_hour(shop: Workshop) -> Weekly:
    """Return a window that opens in an hour, to the minute, and is open for two."""
    at = (shop.time() + HOUR).astimezone(UTC)
    return Weekly(day=at.weekday(), start=time(at.hour, at.minute), duration=2 * HOUR)


async def window(shop: Workshop, weekly: Weekly, **scope: str) -> store.ChangeWindow:
    new = NewWindow(name="nights", scope=Scope(**scope), time_zone="UTC", weekly=[weekly])
    return await shop.windows.create(new, caller=CALLER, now=shop.time())


async def freeze(shop: Workshop, *, until: timedelta, **scope: str) -> store.Freeze:
    now = shop.time()
    new = NewFreeze(reason="Black Friday", scope=Scope(**scope), starts_at=now, ends_at=now + until)
    return await shop.windows.freeze(new, caller=CALLER, now=now)


@BOTH
async def test_a_deployment_waits_for_its_window_and_says_until_when(
    shop: Workshop, host: SshHost, new: Issued
):
    [binding] = await bound(shop, [host])
    opened = await window(shop, in_an_hour(shop), target_id=binding.target_id)
    await shop.renew(new)
    await shop.work_off()
    row, _ = await shop.only()
    assert (row.state, row.hold, row.attempt) == (State.WAITING, Hold.WINDOW, 0)
    assert opened.name in (row.hold_reason or "")
    assert row.next_attempt_at is not None
    assert timedelta() < row.next_attempt_at - shop.time() <= HOUR
    assert shop.vault.asked == []
    shop.time.passes(HOUR)
    await shop.work_off()
    row, _ = await shop.only()
    assert (row.state, row.hold, row.hold_reason) == (State.DEPLOYED, None, None)


async def test_windows_of_other_targets_and_groups_hold_nobody(shop: Workshop, host: SshHost, new: Issued):
    await bound(shop, [host])
    other = await shop.target(
        "other", host="127.0.0.1", port=1, username="u", host_key=host.host_key, credential={"password": "a"}
    )
    await window(shop, in_an_hour(shop), target_id=other.id)
    await freeze(shop, until=DAY, group="payments")
    await shop.renew(new)
    await shop.work_off()
    assert await shop.states() == [State.DEPLOYED]


@BOTH
@pytest.mark.parametrize("scope", [{}, {"group": "web"}], ids=["all", "group"])
async def test_a_freeze_holds_all_or_those_of_a_group(
    shop: Workshop, host: SshHost, new: Issued, scope: dict[str, str]
):
    [binding] = await bound(shop, [host])
    async with shop.database.transaction() as tx:
        (await tx.session.get_one(store.Target, binding.target_id)).groups = ["web"]
    frozen = await freeze(shop, until=DAY, **scope)
    await shop.renew(new)
    await shop.work_off()
    row, _ = await shop.only()
    assert (row.hold, row.next_attempt_at) == (Hold.FREEZE, frozen.ends_at)
    assert "Black Friday" in (row.hold_reason or "")
    shop.time.passes(DAY)
    await shop.work_off()
    assert await shop.states() == [State.DEPLOYED]


async def test_a_freeze_that_is_ended_lets_go_at_once(shop: Workshop, host: SshHost, new: Issued):
    await bound(shop, [host])
    frozen = await freeze(shop, until=DAY)
    await shop.renew(new)
    await shop.work_off()
    await shop.windows.delete(store.Freeze, frozen.id, caller=CALLER, now=shop.time())
    await shop.work_off()
    assert await shop.states() == [State.DEPLOYED]


async def test_a_window_that_is_changed_lets_go_or_holds_on_its_new_terms(
    shop: Workshop, host: SshHost, new: Issued
):
    await bound(shop, [host])
    opened, frozen = await window(shop, in_an_hour(shop)), await freeze(shop, until=DAY)
    await shop.renew(new)
    await shop.work_off()
    ended = FreezeChange(ends_at=shop.time() + HOUR / 60)
    await shop.windows.change_freeze(frozen.id, ended, if_match=None, caller=CALLER, now=shop.time())
    shop.time.passes(HOUR / 60)
    await shop.work_off()
    assert (await shop.only())[0].hold == Hold.WINDOW
    now = WindowChange(weekly=[Weekly(day=day, start=time(), duration=DAY) for day in range(7)])
    never = WindowChange(time_zone="Mars/Olympus")
    with pytest.raises(Invalid):
        await shop.windows.change(opened.id, never, if_match=None, caller=CALLER, now=shop.time())
    await shop.windows.change(opened.id, now, if_match='"1"', caller=CALLER, now=shop.time())
    await shop.work_off()
    assert await shop.states() == [State.DEPLOYED]


async def test_what_is_half_done_is_put_right_in_a_freeze_too(
    shop: Workshop, host: SshHost, old: Issued, new: Issued
):
    target = await bound(shop, [host])
    await shop.renew(new)
    fails_to_reload(host)
    host.refuses_renames_after = 2
    await shop.work_off()
    row, _ = await shop.only()
    assert row.phase == "restoring"
    host.refuses_renames_after = None
    await freeze(shop, until=DAY, target_id=target[0].target_id)
    shop.time.passes(timedelta(minutes=1))
    await shop.work_off()
    assert serving([host], old) == [True]
    assert (await shop.only())[0].state == State.RESTORED


async def test_an_emergency_does_not_wait_and_is_on_record(shop: Workshop, host: SshHost, new: Issued):
    await bound(shop, [host])
    await freeze(shop, until=DAY)
    await shop.renew(new)
    await shop.work_off()
    row, _ = await shop.only()
    await shop.deployments.override(row.id, reason="the key is public", caller=CALLER, now=shop.time())
    await shop.work_off()
    row, steps = await shop.only()
    assert (row.state, row.overridden_by) == (State.DEPLOYED, CALLER.id)
    assert steps[0].step == "override"
    assert "the key is public" in steps[0].text
    [told] = await shop.events(WindowOverridden)
    assert (told.overridden_by, told.reason) == (CALLER.id, "the key is public")
    with pytest.raises(Conflict):
        await shop.deployments.override(row.id, reason="again", caller=CALLER, now=shop.time())


@BOTH
async def test_a_window_is_for_one_target_or_a_group_that_the_caller_sees(shop: Workshop, host: SshHost):
    [binding] = await bound(shop, [host])
    web = Principal(id="web", name="Web", roles=frozenset({"operator"}), groups=frozenset({"web"}))
    weekly = in_an_hour(shop)

    async def make(**scope: str) -> store.ChangeWindow:
        new = NewWindow(name="nights", scope=Scope(**scope), time_zone="UTC", weekly=[weekly])
        return await shop.windows.create(new, caller=web, now=shop.time())

    with pytest.raises(NotFound):
        await make(target_id=binding.target_id)
    with pytest.raises(Forbidden):
        await make(group="payments")
    with pytest.raises(Forbidden):
        await make()
    with pytest.raises(Invalid):
        await make(target_id=binding.target_id, group="web")
    own = await make(group="web")
    foreign = await window(shop, weekly, target_id=binding.target_id)
    for_all = await window(shop, weekly)
    seen = await shop.windows.page(store.ChangeWindow, after=None, limit=10, caller=web)
    assert {row.id for row in seen} == {own.id, for_all.id}
    with pytest.raises(NotFound):
        await shop.windows.get(store.ChangeWindow, foreign.id, caller=web)
    with pytest.raises(Forbidden):  # seen by everybody, and nobody's in particular
        await shop.windows.delete(store.ChangeWindow, for_all.id, caller=web, now=shop.time())


async def test_a_target_that_is_forgotten_takes_its_windows_with_it(shop: Workshop, host: SshHost):
    target = await shop.target(
        "other", host="127.0.0.1", port=1, username="u", host_key=host.host_key, credential={"password": "a"}
    )
    await window(shop, in_an_hour(shop), target_id=target.id)
    await shop.targets.delete(target.id, caller=CALLER)
    assert await shop.windows.page(store.ChangeWindow, after=None, limit=10, caller=CALLER) == []


async def test_a_freeze_that_ends_before_it_begins_is_refused(shop: Workshop):
    now = datetime(2026, 11, 27, tzinfo=UTC)
    new = NewFreeze(reason="none", scope=Scope(), starts_at=now, ends_at=now)
    with pytest.raises(Invalid):
        await shop.windows.freeze(new, caller=CALLER, now=now)
