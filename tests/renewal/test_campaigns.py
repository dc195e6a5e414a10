"""Many certificates are replaced as one job: planned, looked at, started, wave by wave, stopped, and reported."""

import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from pydantic import ValidationError

from services.renewal.api.campaigns import CampaignBody
from services.renewal.connectors import NotNow
from services.renewal.domain.campaigns import (
    CampaignState,
    ItemState,
    Next,
    Until,
    Waves,
    Wishes,
    forecast,
    judge,
)
from services.renewal.store import campaigns as campaign_store
from shared.access import Principal
from shared.approvals import Verdict
from shared.approvals.actions import Word
from shared.errors import Conflict, Forbidden, Invalid, NotFound, Refused, Stale, Unavailable
from shared.events.renewal import CampaignChanged, CertificateRenewed, RevocationReason
from shared.evidence import verify
from tests.renewal.campaigning import SMALL, Campaigning, known
from tests.renewal.workshop import CALLER, Scripted, Time, Workshop


async def test_a_plan_says_what_is_replaced_by_what_in_which_wave_and_what_people_have_to_do(
    shop: Workshop,
) -> None:
    certificates = [known(number) for number in range(5)]
    certificates[1] = known(1, names=["pay.other.test"])
    certificates[2] = known(2, is_ca=True)
    away = Campaigning(shop, certificates, bound=["lineage-0004"])
    row = await away.planned(waves=SMALL)
    assert row.state == CampaignState.PLANNED
    items = {item.lineage_id[-1]: item for item in await away.items(row)}
    assert [items[each].state for each in "01234"] == ["planned", "by-hand", "by-hand", "planned", "planned"]
    assert [items[each].wave for each in "034"] == [1, 1, 0], (
        "the one that is put in place by itself is first"
    )
    assert "'pay.other.test' is not allowed" in (items["1"].obstacle or "")
    assert (items["0"].profile, items["0"].authority) == ("web", "house-ca")
    progress = await away.progress(row)
    assert (progress.total, progress.bound, progress.waves) == (5, 1, 2)
    assert {(owner, number) for owner, _, number in progress.by_hand} == {("Payments", 1)}
    assert len(progress.by_hand) == 2
    assert await shop.all() == [], "nothing is ordered before it is started"
    assert [told.state for told in await shop.events(CampaignChanged)] == ["planned"]


async def test_a_campaign_goes_wave_by_wave_as_the_new_ones_are_seen_in_place(shop: Workshop) -> None:
    away = Campaigning(shop, [known(number) for number in range(5)])
    row = await away.planned(waves=SMALL)
    await away.start(row)
    for wave, ordered in enumerate((1, 3, 5)):
        await away.tick()
        await away.tick()
        orders = await shop.all()
        assert len(orders) == ordered, f"wave {wave}"
        assert (await away.progress(row)).counts[ItemState.RENEWED] == (1 if wave == 0 else 2)
        await away.seen_in_place(row)
    await away.tick()
    progress = await away.progress(row)
    assert progress.counts == {ItemState.REPLACED: 5}
    assert progress.campaign.state == CampaignState.FINISHED
    assert len(await shop.events(CertificateRenewed)) == 5
    assert Counter(order.lineage_id for order in await shop.all()).most_common(1)[0][1] == 1
    told = [(each.state, each.counts) for each in await shop.events(CampaignChanged)]
    assert told[-1] == ("finished", {"replaced": 5})


async def test_it_stops_when_too_much_of_a_wave_fails_and_goes_on_with_what_has_failed(
    shop: Workshop,
) -> None:
    away = Campaigning(shop, [known(number) for number in range(4)])
    row = await away.planned(waves=replace(SMALL, first=2, stop_at=0.4, until=Until.RENEWED))
    await away.start(row)
    Scripted.script = [Refused("No.", next_step="Ask the CA.")]
    await away.tick()
    progress = await away.progress(row)
    assert progress.campaign.state == CampaignState.PAUSED
    assert progress.campaign.last_error == "1 of the 2 certificates of wave 0 have failed."
    failed = [item for item in await away.items(row) if item.state == ItemState.FAILED]
    assert [(item.obstacle, item.next_step) for item in failed] == [("No.", "Ask the CA.")]
    assert len(await shop.all()) == 2, "the second wave has not begun"
    await away.campaigns.resume(row.id, retry_failed=True, caller=CALLER, now=shop.time())
    await away.tick()
    await away.tick()
    assert (await away.progress(row)).counts == {ItemState.RENEWED: 4}


async def test_it_goes_on_without_what_has_failed_where_a_person_says_so(small_shop: Workshop) -> None:
    away = Campaigning(small_shop, [known(number) for number in range(4)])
    row = await away.planned(waves=replace(SMALL, first=2, stop_at=0, until=Until.RENEWED))
    await away.start(row)
    Scripted.script = [Refused("No.", next_step="Ask the CA.")]
    await away.tick()
    await away.campaigns.resume(row.id, retry_failed=False, caller=CALLER, now=small_shop.time())
    Scripted.script = [Refused("No.", next_step="Ask the CA.")]
    for _ in range(2):
        await away.tick()
    progress = await away.progress(row)
    assert progress.campaign.state == CampaignState.PAUSED, "what fails in the next wave is not forgiven"
    assert progress.counts == {ItemState.FAILED: 2, ItemState.RENEWED: 2}


async def test_that_it_will_be_late_is_told_once(small_shop: Workshop) -> None:
    away = Campaigning(small_shop, [known(number) for number in range(5)])
    deadline = small_shop.time() + timedelta(hours=24)
    row = await away.planned(waves=replace(SMALL, until=Until.REPLACED), deadline=deadline)
    await away.start(row)
    await away.tick()
    small_shop.time.passes(timedelta(hours=23, minutes=50))
    await away.seen_in_place(row)
    small_shop.time.passes(timedelta(minutes=5))
    await away.tick()
    [late, of_the_next_wave] = [told for told in await small_shop.events(CampaignChanged) if told.is_late]
    assert late.counts == of_the_next_wave.counts
    assert late.ends_at is not None
    assert late.ends_at > deadline
    await away.tick()
    assert len([told for told in await small_shop.events(CampaignChanged) if told.is_late]) == 2


async def test_what_waits_is_no_failure_and_holds_its_wave(small_shop: Workshop) -> None:
    away = Campaigning(small_shop, [known(number) for number in range(3)])
    row = await away.planned(waves=replace(SMALL, until=Until.RENEWED))
    await away.start(row)
    Scripted.script = [NotNow("Over budget.")]
    await away.tick()
    assert (await away.progress(row)).counts == {ItemState.ORDERED: 1, ItemState.PLANNED: 2}
    small_shop.time.passes(timedelta(minutes=2))
    for _ in range(3):
        await away.tick()
    assert (await away.progress(row)).counts == {ItemState.RENEWED: 3}


async def test_an_order_that_is_open_already_is_taken_over_and_none_is_doubled(shop: Workshop) -> None:
    away = Campaigning(shop, [known(number) for number in range(2)])
    mine = await shop.order("s0.example.test", lineage_id="lineage-0000")
    row = await away.planned(waves=replace(SMALL, first=5))
    await away.start(row)
    await away.tick()
    items = await away.items(row)
    assert {item.lineage_id: item.order_id == mine.id for item in items} == {
        "lineage-0000": True,
        "lineage-0001": False,
    }
    assert len(await shop.all()) == 2


async def test_an_authority_that_must_not_issue_is_left_out(small_shop: Workshop) -> None:
    await small_shop.authority("other-ca")
    await small_shop.profile("other", authority="other-ca")
    await small_shop.enrolments.enrol(
        "lineage-0000", profile="web", names=["s0.example.test"], caller=CALLER, now=small_shop.time()
    )
    away = Campaigning(small_shop, [known(0)])
    stays = await away.planned()
    leaves = await away.planned(wishes=Wishes(not_from=["house-ca"]))
    stuck = await away.planned(wishes=Wishes(not_from=["house-ca", "other-ca"]))
    assert [(await away.items(row))[0].profile for row in (stays, leaves, stuck)] == ["web", "other", None]
    # An order of that authority which is open is not taken for the new certificate.
    await small_shop.order("s0.example.test", lineage_id="lineage-0000")
    await away.start(leaves)
    await away.runs.step(small_shop.time())
    [item] = await away.items(leaves)
    assert (item.state, "from house-ca" in (item.obstacle or "")) == ("planned", True)


async def test_a_paused_campaign_orders_nothing_and_an_aborted_one_lets_go_of_the_rest(
    shop: Workshop,
) -> None:
    away = Campaigning(shop, [known(number) for number in range(4)])
    row = await away.planned(waves=replace(SMALL, first=1, until=Until.RENEWED))
    await away.start(row)
    await away.runs.step(shop.time())
    await away.campaigns.pause(row.id, reason="lunch", caller=CALLER, now=shop.time())
    await away.tick()
    progress = await away.progress(row)
    assert progress.counts == {ItemState.RENEWED: 1, ItemState.PLANNED: 3}, "what was ordered came to its end"
    assert progress.campaign.last_error == "Tester: lunch"
    await away.campaigns.abort(row.id, reason="wrong CA", caller=CALLER, now=shop.time())
    await away.tick()
    assert (await away.progress(row)).counts == {ItemState.RENEWED: 1, ItemState.SKIPPED: 3}
    with pytest.raises(Conflict, match="aborted"):
        await away.campaigns.resume(row.id, retry_failed=False, caller=CALLER, now=shop.time())


async def test_only_the_plan_that_was_looked_at_can_be_started(small_shop: Workshop) -> None:
    away = Campaigning(small_shop, [known(0)])
    row = await away.planned()
    away.certificates = [known(0), known(1)]
    await away.campaigns.plan_again(row.id, caller=CALLER)
    with pytest.raises(Conflict, match="planning"):
        await away.start(row)
    while await away.plans.step(small_shop.time()):
        pass
    with pytest.raises(Stale, match="not the one"):
        await away.start(row)
    await away.start(await away.campaigns.get(row.id, caller=CALLER))


async def test_planning_goes_on_where_inventory_was_away_and_ends_where_the_query_is_none(
    shop: Workshop,
) -> None:
    away = Campaigning(shop, [known(number) for number in range(5)])
    away.answers = [httpx.Response(503)]
    with pytest.raises(Unavailable):
        await away.planned()
    [row] = await away.campaigns.page(after=None, limit=10, caller=CALLER)
    assert "it answered 503" in (row.last_error or "")
    while await away.plans.step(shop.time()):
        pass
    assert (await away.progress(row)).total == 5
    assert [url.params.get("cursor") for url in away.asked] == [None, None, "2", "4"]
    problem = {"detail": "Column 3: what is this?", "next_step": "Write a field there."}
    away.answers = [httpx.Response(422, json=problem)]
    wrong = await away.planned(query="is")
    assert (wrong.state, wrong.last_error) == (CampaignState.ABORTED, problem["detail"])


async def test_a_profile_stays_while_a_campaign_is_to_order_by_it(shop: Workshop) -> None:
    away = Campaigning(shop, [known(number) for number in range(2)])
    row = await away.planned(waves=SMALL)
    [profile] = await shop.profiles.page(after=None, limit=10, caller=CALLER)
    with pytest.raises(Conflict, match="A campaign is to order by web"):
        await shop.profiles.delete(profile.row.id, caller=CALLER)
    await away.campaigns.abort(row.id, reason="another way", caller=CALLER, now=shop.time())
    await shop.profiles.delete(profile.row.id, caller=CALLER)
    assert await shop.profiles.page(after=None, limit=10, caller=CALLER) == []


async def test_a_campaign_reaches_no_further_than_who_has_made_it(small_shop: Workshop) -> None:
    away = Campaigning(small_shop, [known(0), known(1, groups=["other"])])
    await small_shop.profiles.put_into(
        (await small_shop.profiles.page(after=None, limit=1, caller=CALLER))[0].row.id,
        ["*"],
        caller=CALLER,
    )
    theirs = Principal(id="sam", name="Sam", roles=frozenset({"operator"}), groups=frozenset({"shop"}))
    others = Principal(id="eve", name="Eve", roles=frozenset({"operator"}), groups=frozenset({"other"}))
    row = await away.planned(caller=theirs, groups=["shop"])
    assert [item.lineage_id for item in await away.items(row)] == ["lineage-0000"]
    with pytest.raises(NotFound):
        await away.campaigns.get(row.id, caller=others)
    assert await away.campaigns.page(after=None, limit=10, caller=others) == []


async def test_one_approval_covers_the_plan_and_every_order_in_it(shop: Workshop) -> None:
    await shop.change(approvals_needed=2)
    away = Campaigning(shop, [known(number) for number in range(2)], approvals_needed=1)
    row = await away.planned(waves=replace(SMALL, first=5, until=Until.RENEWED))
    await away.start(row)
    await away.tick()
    progress = await away.progress(row)
    assert (progress.campaign.state, await shop.all()) == (CampaignState.AWAITING_APPROVAL, [])
    [asked] = await shop.approvals.page(after=None, limit=10, caller=CALLER)
    assert asked.document["plan_digest"] == row.plan_digest
    assert asked.document["certificates"] == 2
    word = Word(verdict=Verdict.GRANT, digest=asked.digest, reason="It must be.")
    with pytest.raises(Forbidden, match="does not approve"):
        await shop.approvals.decide(asked.id, word, caller=CALLER, now=shop.time())
    ann = Principal(id="ann", name="Ann", roles=frozenset({"approver"}))
    await shop.approvals.decide(asked.id, word, caller=ann, now=shop.time())
    await away.tick()
    assert (await away.progress(row)).counts == {ItemState.RENEWED: 2}
    for order in await shop.all():
        _, steps = await shop.orders.get(order.id, caller=CALLER)
        assert "Approved as a part of the campaign away." in [step.text for step in steps]


async def test_an_order_whose_profile_was_changed_since_is_approved_by_itself(shop: Workshop) -> None:
    away = Campaigning(shop, [known(0)], approvals_needed=1)
    row = await away.planned(waves=SMALL)
    await away.start(row)
    [asked] = await shop.approvals.page(after=None, limit=10, caller=CALLER)
    ann = Principal(id="ann", name="Ann", roles=frozenset({"approver"}))
    word = Word(verdict=Verdict.GRANT, digest=asked.digest, reason="It must be.")
    await shop.approvals.decide(asked.id, word, caller=ann, now=shop.time())
    await shop.change(approvals_needed=1, lifetime=timedelta(days=30))
    await away.tick()
    assert [order.state for order in await shop.all()] == ["awaiting_approval"]


async def test_a_campaign_that_is_refused_is_as_it_was_planned(small_shop: Workshop) -> None:
    away = Campaigning(small_shop, [known(0)], approvals_needed=1)
    row = await away.planned()
    await away.start(row)
    [asked] = await small_shop.approvals.page(after=None, limit=10, caller=CALLER)
    ann = Principal(id="ann", name="Ann", roles=frozenset({"approver"}))
    word = Word(verdict=Verdict.REFUSE, digest=asked.digest, reason="Not on a Friday.")
    await small_shop.approvals.decide(asked.id, word, caller=ann, now=small_shop.time())
    again = (await away.progress(row)).campaign
    assert (again.state, again.last_error) == (
        CampaignState.PLANNED,
        "Ann has refused it: Not on a Friday.",
    )


async def test_the_old_ones_are_revoked_once_the_new_ones_are_seen_in_place(shop: Workshop) -> None:
    first = await shop.order("s0.example.test", lineage_id="lineage-0000")
    await shop.work_off()
    first = await shop.only()
    ours = known(0, fingerprint=first.fingerprint)
    away = Campaigning(shop, [ours, known(1)])
    row = await away.planned(waves=replace(SMALL, first=5), revoke=RevocationReason.CA_COMPROMISE)
    await away.start(row)
    await away.tick()
    assert await shop.revocations.page(after=None, limit=10, caller=CALLER) == []
    await away.seen_in_place(row)
    await away.tick()
    [revocation] = await shop.revocations.page(after=None, limit=10, caller=CALLER)
    assert (revocation.fingerprint, revocation.reason) == (first.fingerprint, "cACompromise")
    items = {item.lineage_id: item for item in await away.items(row)}
    assert items["lineage-0000"].revocation_id == revocation.id
    assert "was not obtained here" in (items["lineage-0001"].next_step or "")


async def test_the_report_is_signed_and_whatever_is_done_to_it_is_noticed(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_store, "_AT_ONCE", 2)
    away = Campaigning(shop, [known(number) for number in range(3)])
    row = await away.planned(waves=replace(SMALL, first=5, until=Until.RENEWED))
    with pytest.raises(Conflict, match="planned"):
        await away.evidence.report(row.id, caller=CALLER, now=shop.time())
    await away.start(row)
    await away.tick()
    lines = [line async for line in await away.evidence.report(row.id, caller=CALLER, now=shop.time())]
    keys = {"keys": await away.evidence.keys(now=shop.time())}
    assert verify(lines, keys)["lines"] == 4
    head, *items = (json.loads(line) for line in lines[:-1])
    assert head["campaign"]["reason"] == "distrusted"
    assert {item["certificate"]["state"] for item in items} == {"renewed"}
    tampered = {
        "edited": [lines[0], lines[1].replace(b"Payments", b"Paymints"), *lines[2:]],
        "deleted": [*lines[:1], *lines[2:]],
        "inserted": [*lines[:2], lines[1], *lines[2:]],
        "reordered": [lines[0], lines[2], lines[1], *lines[3:]],
        "cut off": lines[:-1],
    }
    for changed in tampered.values():
        with pytest.raises(Invalid, match="cannot be trusted"):
            verify(changed, keys)


def test_a_wave_is_over_when_its_last_one_is_and_stops_with_too_many_failures() -> None:
    waves = Waves(stop_at=0.1)
    assert judge({ItemState.REPLACED: 9, ItemState.RENEWED: 1}, waves=waves) is Next.GO_ON
    assert judge({ItemState.REPLACED: 9, ItemState.FAILED: 1}, waves=waves) is Next.NEXT_WAVE
    assert judge({ItemState.REPLACED: 8, ItemState.FAILED: 2}, waves=waves) is Next.STOP
    renewed = replace(waves, until=Until.RENEWED)
    assert judge({ItemState.REPLACED: 1, ItemState.RENEWED: 9}, waves=renewed) is Next.NEXT_WAVE


def test_the_forecast_goes_by_the_pace_of_late() -> None:
    now = Time()()
    expected = forecast(left=300, lately=100, over=timedelta(minutes=10), now=now)
    assert (expected.per_hour, expected.ends_at) == (600, now + timedelta(minutes=30))
    assert expected.is_late(now + timedelta(minutes=29))
    assert not expected.is_late(now + timedelta(minutes=31))
    assert forecast(left=1, lately=0, over=timedelta(minutes=10), now=now).ends_at is None


def test_a_deadline_without_an_offset_is_refused():
    asked = {"name": "all", "query": "key.type = rsa", "reason": "weak", "deadline": "2026-12-04T18:00:00"}
    with pytest.raises(ValidationError, match="timezone"):
        CampaignBody.model_validate(asked)
