"""Approvals that targets want: by rule and certificate, of exactly what is done there."""

from datetime import timedelta
from typing import Any

import pytest

from services.provisioner import store
from services.provisioner.actions.approval_rules import NewRule, RuleChange
from services.provisioner.actions.scopes import Scope
from services.provisioner.domain import Hold, State
from shared.access import Principal
from shared.approvals import ApprovalState, Verdict
from shared.approvals.actions import Word
from shared.approvals.store import ApprovalColumns
from shared.errors import Forbidden, NotFound, Stale
from shared.events.provisioner import DeploymentApprovalSettled, DeploymentAwaitingApproval
from tests.provisioner.actions.conftest import BOTH, bound, serving
from tests.provisioner.ssh_host import SshHost
from tests.provisioner.workshop import CALLER, Workshop
from tests.servers.tls import CertificateAuthority, Issued

ANN = Principal(id="ann", name="Ann", roles=frozenset({"approver"}), groups=frozenset({"network"}))
BOB = Principal(id="bob", name="Bob", roles=frozenset({"approver"}))


async def rule(shop: Workshop, name: str = "load balancers", **given: Any) -> store.ApprovalRule:
    scope = Scope(target_id=given.pop("target_id", None), group=given.pop("group", None))
    new = NewRule(name=name, scope=scope, **{"approvals_needed": 1, **given})
    return await shop.approval_rules.create(new, caller=CALLER, now=shop.time())


async def waiting(shop: Workshop, who: Principal = CALLER) -> list[ApprovalColumns]:
    return list(await shop.approvals.page(after=None, limit=10, caller=who, state=ApprovalState.OPEN))


async def says(
    shop: Workshop, who: Principal, row: ApprovalColumns, verdict: Verdict = Verdict.GRANT
) -> None:
    word = Word(verdict=verdict, digest=row.digest, reason="CHG0042")
    await shop.approvals.decide(row.id, word, caller=who, now=shop.time())


async def in_group(shop: Workshop, bindings: list[store.Binding], group: str) -> None:
    async with shop.database.transaction() as tx:
        for binding in bindings:
            (await tx.session.get_one(store.Target, binding.target_id)).groups = [group]


@BOTH
async def test_what_goes_to_the_targets_of_a_group_waits_for_its_people_and_the_rest_does_not(
    shop: Workshop, hosts: list[SshHost], new: Issued
):
    bindings = await bound(shop, hosts)
    await in_group(shop, bindings[:2], "balancers")
    await rule(shop, group="balancers", approver_groups=["network"])
    plan = await shop.plans.of_lineage("lineage", caller=CALLER, now=shop.time())
    assert sum(each.approval_rules == ["load balancers"] for each in plan.slots) == 2
    await shop.renew(new)
    await shop.work_off()
    assert serving(hosts, new) == [False, False, True, True]
    # One question for both, seen by those who decide, though the lineage is none of theirs.
    [asked] = await waiting(shop, ANN)
    assert {place["binding_id"] for place in asked.document["places"]} == {each.id for each in bindings[:2]}
    [told] = await shop.events(DeploymentAwaitingApproval)
    assert (told.kind, told.approver_groups) == ("deployments", ["network"])
    rows = await shop.deployments.page(after=None, limit=10, caller=CALLER, state=State.WAITING)
    assert {(row.hold, "load balancers" in (row.hold_reason or "")) for row in rows} == {
        (Hold.APPROVAL, True)
    }
    with pytest.raises(Forbidden):  # has made the rule and the bindings
        await says(shop, CALLER, asked)
    await says(shop, ANN, asked)
    await shop.work_off()
    assert serving(hosts, new) == [True] * 4
    assert [each.outcome for each in await shop.events(DeploymentApprovalSettled)] == ["granted"]
    assert await waiting(shop) == []


async def test_each_rule_of_a_target_is_asked_of_its_own_people_beside_the_policy_of_the_lineage(
    shop: Workshop, hosts: list[SshHost], new: Issued
):
    [binding, *_] = await bound(shop, hosts[:2])
    await shop.policy(canaries=1, approvals_needed=1)
    await rule(shop, "this one", target_id=binding.target_id, approver_groups=["network"])
    await rule(shop, "all")
    await shop.renew(new)
    await shop.work_off()
    [rollout] = await waiting(shop)
    assert rollout.kind == "rollout"
    await says(shop, BOB, rollout)
    await shop.work_off()
    by_name = {each.document["rule"]: each for each in await waiting(shop)}
    assert set(by_name) == {"this one", "all"}
    await says(shop, BOB, by_name["all"])
    await shop.work_off()
    assert serving(hosts[:2], new) == [False, False]
    await says(shop, ANN, by_name["this one"])
    await shop.work_off()
    assert serving(hosts[:2], new) == [True, True]
    assert await waiting(shop) == []


async def test_what_is_refused_or_not_decided_in_time_is_not_done_and_says_why(
    shop: Workshop, hosts: list[SshHost], old: Issued, new: Issued, lab_ca: CertificateAuthority
):
    [binding, *_] = await bound(shop, hosts[:2])
    await rule(shop, target_id=binding.target_id)
    await shop.renew(new)
    await shop.work_off()
    [asked] = await waiting(shop)
    await says(shop, BOB, asked, Verdict.REFUSE)
    await shop.work_off()
    assert (serving(hosts[:2], old), serving(hosts[:2], new)) == ([True, False], [False, True])
    [row] = await shop.deployments.page(after=None, limit=10, caller=CALLER, state=State.CANCELLED)
    assert "Bob has refused it: CHG0042" in (row.reason or "")
    await shop.renew(lab_ca.issue("shop.test"))
    await shop.work_off()
    shop.time.passes(timedelta(days=8))
    await shop.approvals.look_at_due(shop.time())
    await shop.work_off()
    assert serving(hosts[:1], old) == [True]
    assert State.WAITING not in await shop.states()


@BOTH
async def test_what_becomes_another_thing_is_asked_for_anew_and_a_newer_certificate_ends_the_question(
    shop: Workshop, hosts: list[SshHost], old: Issued, new: Issued, lab_ca: CertificateAuthority
):
    [binding] = await bound(shop, hosts[:1])
    await rule(shop)
    await shop.renew(new)
    await shop.work_off()
    [first] = await waiting(shop)
    # Another command would be run there now.
    async with shop.database.transaction() as tx:
        target = await tx.session.get_one(store.Target, binding.target_id)
        target.options = {**target.options, "reload_command": "reload; true"}
    await says(shop, BOB, first)
    await shop.work_off()
    [second] = await waiting(shop)
    assert (second.subject_id, second.digest != first.digest) == (first.subject_id, True)
    shop.time.passes(timedelta(minutes=1))
    await shop.renew(lab_ca.issue("shop.test"))
    await shop.work_off()
    [third] = await waiting(shop)
    assert third.subject_id != second.subject_id
    assert (await shop.approvals.get(second.id, caller=CALLER)).row.state == ApprovalState.VOID
    assert serving(hosts[:1], old) == [True]


async def test_a_rule_that_is_changed_asks_on_its_new_terms_and_one_that_is_gone_lets_go(
    shop: Workshop, hosts: list[SshHost], new: Issued
):
    await bound(shop, hosts[:1])
    made = await rule(shop, approver_groups=["network"])
    await shop.renew(new)
    await shop.work_off()
    [first] = await waiting(shop)
    change = RuleChange(approvals_needed=2, approver_groups=[])
    with pytest.raises(Stale):
        await shop.approval_rules.change(made.id, change, if_match='"7"', caller=CALLER, now=shop.time())
    await shop.approval_rules.change(made.id, change, if_match='"1"', caller=CALLER, now=shop.time())
    await shop.work_off()
    [second] = await waiting(shop)
    assert (second.needed, second.approver_groups, second.id != first.id) == (2, [], True)
    await shop.approval_rules.delete(made.id, caller=CALLER, now=shop.time())
    await shop.work_off()
    assert (serving(hosts[:1], new), await waiting(shop)) == ([True], [])


async def test_a_rule_is_made_seen_and_taken_back_by_those_of_its_targets_only(
    shop: Workshop, hosts: list[SshHost]
):
    [binding] = await bound(shop, hosts[:1])
    web = Principal(id="web", name="Web", roles=frozenset({"operator"}), groups=frozenset({"web"}))
    foreign = await rule(shop, target_id=binding.target_id)
    for_all = await rule(shop)
    with pytest.raises(NotFound):
        await shop.approval_rules.get(foreign.id, caller=web)
    with pytest.raises(Forbidden):  # seen by everybody, and nobody's in particular
        await shop.approval_rules.delete(for_all.id, caller=web, now=shop.time())
    seen = await shop.approval_rules.page(after=None, limit=10, caller=web)
    assert [row.id for row in seen] == [for_all.id]
    await shop.bindings.delete(binding.id, caller=CALLER, now=shop.time())
    await shop.targets.delete(binding.target_id, caller=CALLER)
    left = await shop.approval_rules.page(after=None, limit=10, caller=CALLER)
    assert [row.id for row in left] == [for_all.id]
