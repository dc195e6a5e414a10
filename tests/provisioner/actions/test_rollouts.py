from collections import Counter
from datetime import timedelta

import pytest

from services.provisioner import store
from services.provisioner.domain import Hold, State
from services.provisioner.domain.rollouts import RolloutState
from shared.access import Principal
from shared.approvals import ApprovalState, Verdict
from shared.approvals.actions import Word
from shared.approvals.store import ApprovalColumns
from shared.errors import Conflict, Forbidden
from shared.events import Event
from shared.events.notifier import ApprovalGranted
from shared.events.provisioner import (
    CertificateDeployed,
    DeploymentApprovalSettled,
    DeploymentAwaitingApproval,
    DeploymentFailed,
    RolloutChanged,
)
from tests.provisioner.actions.conftest import BOTH, bound, fails_to_reload, reloads_again, serving
from tests.provisioner.ssh_host import SshHost
from tests.provisioner.workshop import CALLER, Workshop
from tests.servers.tls import Issued

MINUTE = timedelta(minutes=1)
ANN = Principal(id="ann", name="Ann", roles=frozenset({"approver"}))


async def the_rollout(shop: Workshop) -> store.Rollout:
    [row] = await shop.rollouts.page(after=None, limit=10, caller=CALLER)
    return row


@BOTH
async def test_the_share_waits_for_the_canary_and_the_rest_for_the_share(
    shop: Workshop, hosts: list[SshHost], new: Issued
):
    await bound(shop, hosts)
    await shop.policy(soak=60)
    await shop.renew(new)
    await shop.work_off()
    assert serving(hosts, new) == [True, False, False, False]
    rows = await shop.deployments.page(after=None, limit=10, caller=CALLER)
    assert Counter(row.hold for row in rows) == {None: 1, Hold.ROLLOUT: 3}
    shop.time.passes(MINUTE)
    await shop.work_off()
    assert serving(hosts, new) == [True, True, False, False]
    shop.time.passes(MINUTE)
    await shop.work_off()
    assert serving(hosts, new) == [True] * 4
    assert (await the_rollout(shop)).state == RolloutState.FINISHED
    told = await shop.events(RolloutChanged)
    assert [(each.state, each.wave) for each in told] == [("running", 1), ("running", 2), ("finished", 2)]
    assert [event.is_last for event in await shop.events(CertificateDeployed)] == [False, False, False, True]


@BOTH
async def test_a_canary_that_fails_is_put_back_and_nothing_else_begins(
    shop: Workshop, hosts: list[SshHost], old: Issued, new: Issued
):
    await bound(shop, hosts)
    await shop.policy()
    fails_to_reload(hosts[0])
    await shop.renew(new)
    for _ in range(3):
        await shop.work_off()
        shop.time.passes(timedelta(hours=1))
    assert serving(hosts, old) == [True] * 4
    assert not any("reload" in host.commands for host in hosts[1:])
    [failed] = await shop.events(DeploymentFailed)
    assert failed.restored
    [stopped] = await shop.events(RolloutChanged)
    assert (stopped.state, stopped.counts) == ("stopped", {"restored": 1, "waiting": 3})
    assert failed.reason in (stopped.reason or "")
    progress = await shop.rollouts.get((await the_rollout(shop)).id, caller=CALLER)
    assert progress.waves == {0: {State.RESTORED: 1}, 1: {State.WAITING: 1}, 2: {State.WAITING: 2}}
    assert all("stopped" in (each.hold_reason or "") for each in progress.deployments)


@BOTH
async def test_a_stopped_rollout_goes_on_when_a_person_says_so(
    shop: Workshop, hosts: list[SshHost], new: Issued
):
    await bound(shop, hosts)
    await shop.policy()
    fails_to_reload(hosts[0])
    await shop.renew(new)
    await shop.work_off()
    reloads_again(hosts[0])
    rollout = await the_rollout(shop)
    await shop.rollouts.resume(rollout.id, caller=CALLER, now=shop.time())
    await shop.work_off()
    assert serving(hosts, new) == [True] * 4
    assert (await the_rollout(shop)).state == RolloutState.FINISHED
    with pytest.raises(Conflict):
        await shop.rollouts.resume(rollout.id, caller=CALLER, now=shop.time())


async def test_an_aborted_rollout_never_begins_with_the_rest(
    shop: Workshop, hosts: list[SshHost], old: Issued, new: Issued
):
    await bound(shop, hosts)
    await shop.policy()
    fails_to_reload(hosts[0])
    await shop.renew(new)
    await shop.work_off()
    rollout = await the_rollout(shop)
    await shop.rollouts.abort(rollout.id, reason="a wrong chain", caller=CALLER, now=shop.time())
    shop.time.passes(timedelta(days=1))
    await shop.work_off()
    assert serving(hosts, old) == [True] * 4
    assert await shop.states() == [State.CANCELLED] * 4
    assert [each.state for each in await shop.events(RolloutChanged)] == ["stopped", "aborted"]


async def test_what_was_at_work_when_its_rollout_was_aborted_is_not_tried_again(
    shop: Workshop, hosts: list[SshHost], old: Issued, new: Issued
):
    await bound(shop, hosts)
    await shop.policy()
    fails_to_reload(hosts[0])
    await shop.renew(new)
    claim = await shop.work.claim(now=shop.time())
    assert claim is not None
    rollout = await the_rollout(shop)
    await shop.rollouts.abort(rollout.id, reason="a wrong chain", caller=CALLER, now=shop.time())
    await shop.work.run(claim)
    reloads_again(hosts[0])
    shop.time.passes(MINUTE)
    await shop.work_off()
    assert serving(hosts, old) == [True] * 4
    assert await shop.states() == [State.CANCELLED] * 4


async def test_a_target_that_is_away_holds_its_wave_and_stops_nothing(
    shop: Workshop, hosts: list[SshHost], new: Issued
):
    await bound(shop, hosts)
    await shop.policy()
    port, hosts[0].password = hosts[0].port, "another"
    [target] = [
        row for row in await shop.targets.page(after=None, limit=10, caller=CALLER) if row.port == port
    ]
    async with shop.database.transaction() as tx:
        (await tx.session.get_one(store.Target, target.id)).port = 1
    await shop.renew(new)
    await shop.work_off()
    assert (await the_rollout(shop)).state == RolloutState.RUNNING
    assert serving(hosts, new) == [False] * 4
    async with shop.database.transaction() as tx:
        (await tx.session.get_one(store.Target, target.id)).port = port
    shop.time.passes(MINUTE)
    await shop.work_off()
    assert serving(hosts, new) == [True] * 4


@BOTH
async def test_a_newer_certificate_ends_the_rollout_of_an_older_one(
    shop: Workshop, hosts: list[SshHost], old: Issued, new: Issued
):
    await bound(shop, hosts)
    await shop.policy(soak=3600)
    await shop.renew(old)
    await shop.work_off()
    shop.time.passes(MINUTE)
    await shop.policy()
    await shop.renew(new)
    await shop.work_off()
    rows = await shop.rollouts.page(after=None, limit=10, caller=CALLER)
    assert [row.state for row in rows] == [RolloutState.FINISHED, RolloutState.SUPERSEDED]
    assert serving(hosts, new) == [True] * 4


async def test_a_killed_process_leaves_no_rollout_behind(
    shop: Workshop, hosts: list[SshHost], new: Issued, monkeypatch: pytest.MonkeyPatch
):
    await bound(shop, hosts)
    await shop.policy()
    await shop.renew(new)

    async def nobody(*_: object, **__: object) -> None:
        """It was killed after its deployment, and before it has looked at the rollout."""

    with monkeypatch.context() as patch:
        patch.setattr(type(shop.rollouts), "judge", nobody)
        await shop.work_off()
    assert serving(hosts, new) == [True, False, False, False]
    shop.time.passes(MINUTE)
    await shop.work_off()
    assert serving(hosts, new) == [True] * 4


async def asked(shop: Workshop) -> ApprovalColumns:
    rows = await shop.approvals.page(after=None, limit=10, caller=CALLER, state=ApprovalState.OPEN)
    [row] = rows
    return row


async def says(
    shop: Workshop, who: Principal, row: ApprovalColumns, verdict: Verdict = Verdict.GRANT
) -> None:
    word = Word(verdict=verdict, digest=row.digest, reason="CHG0042")
    await shop.approvals.decide(row.id, word, caller=who, now=shop.time())


@BOTH
async def test_nothing_begins_before_enough_others_have_agreed(
    shop: Workshop, hosts: list[SshHost], new: Issued
):
    await bound(shop, hosts)
    await shop.policy(approvals_needed=2)
    await shop.renew(new)
    await shop.work_off()
    row = await asked(shop)
    [told] = await shop.events(DeploymentAwaitingApproval)
    assert (told.kind, told.digest, told.needed) == ("rollout", row.digest, 2)
    with pytest.raises(Forbidden):  # who has made the bindings and the policy has a part in it
        await says(shop, CALLER, row)
    await says(shop, ANN, row)
    await shop.work_off()
    assert serving(hosts, new) == [False] * 4
    # The second word comes from a ticket.
    passed_on = ApprovalGranted(
        approval_id=row.id,
        digest=row.digest,
        decided_by="bob",
        name="Bob",
        roles=["approver"],
        groups=[],
        reason="CHG0042",
        passed_on_by="hook",
        decided_at=shop.time(),
    )
    async with shop.database.transaction() as tx:
        event = Event.of(passed_on, source="notifier", now=shop.time())
        await shop.approvals.heard(tx, event.data, verdict=Verdict.GRANT, now=shop.time())
    await shop.work_off()
    assert serving(hosts, new) == [True] * 4
    [over] = await shop.events(DeploymentApprovalSettled)
    assert (over.outcome, over.decided_by) == ("granted", ["ann", "bob"])


async def test_what_is_refused_is_not_done(shop: Workshop, hosts: list[SshHost], old: Issued, new: Issued):
    await bound(shop, hosts)
    await shop.policy(approvals_needed=1)
    await shop.renew(new)
    await says(shop, ANN, await asked(shop), Verdict.REFUSE)
    await shop.work_off()
    assert serving(hosts, old) == [True] * 4
    assert (await the_rollout(shop)).state == RolloutState.ABORTED
    assert await shop.states() == [State.CANCELLED] * 4


async def test_what_nobody_decides_on_is_reminded_of_and_expires(
    shop: Workshop, hosts: list[SshHost], new: Issued
):
    await bound(shop, hosts)
    await shop.policy(approvals_needed=1)
    await shop.renew(new)
    shop.time.passes(timedelta(days=1))
    await shop.approvals.look_at_due(shop.time())
    assert [each.reminder for each in await shop.events(DeploymentAwaitingApproval)] == [0, 1]
    shop.time.passes(timedelta(days=7))
    await shop.approvals.look_at_due(shop.time())
    assert (await the_rollout(shop)).state == RolloutState.ABORTED


async def test_an_emergency_needs_no_approval_and_is_on_record(
    shop: Workshop, hosts: list[SshHost], new: Issued
):
    await bound(shop, hosts)
    await shop.policy(approvals_needed=1)
    await shop.renew(new)
    word = Word(verdict=Verdict.OVERRIDE, digest="", reason="the key is public")
    row = await asked(shop)
    report = await shop.approvals.override(row.id, word, caller=CALLER, now=shop.time())
    await shop.work_off()
    assert serving(hosts, new) == [True] * 4
    assert [each.verdict for each in report.decisions] == [Verdict.OVERRIDE]


@BOTH
async def test_what_was_changed_after_its_approval_is_asked_for_anew(
    shop: Workshop, hosts: list[SshHost], new: Issued
):
    await bound(shop, hosts)
    await shop.policy(approvals_needed=1)
    await shop.renew(new)
    first = await asked(shop)
    await says(shop, ANN, first)
    # Another command would be run there now.
    async with shop.database.transaction() as tx:
        for target in await shop.targets.page(after=None, limit=10, caller=CALLER):
            row = await tx.session.get_one(store.Target, target.id)
            row.options = {**row.options, "reload_command": "reload; true"}
    await shop.work_off()
    assert serving(hosts, new) == [False] * 4
    second = await asked(shop)
    assert second.digest != first.digest
    assert (await the_rollout(shop)).state == RolloutState.AWAITING_APPROVAL


async def test_a_binding_made_later_waits_for_an_approval_of_its_own(
    shop: Workshop, hosts: list[SshHost], new: Issued
):
    await shop.policy(approvals_needed=1)
    await shop.renew(new)
    await bound(shop, hosts[:1])
    await shop.work_off()
    assert serving(hosts[:1], new) == [False]
    await says(shop, ANN, await asked(shop))
    await shop.work_off()
    assert serving(hosts[:1], new) == [True]
