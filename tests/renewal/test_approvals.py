import json
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography import x509
from sqlmodel import col

from services.renewal import store
from services.renewal.actions.orders import NewOrder
from services.renewal.connectors import NotNow
from services.renewal.domain.orders import State
from shared.access import Principal
from shared.approvals import ApprovalState, Verdict, canonical, digest
from shared.approvals.actions import Report, Word
from shared.approvals.store import ApprovalColumns
from shared.errors import Conflict, Forbidden, NotFound
from shared.events.approvals import ApprovalOutcome
from shared.events.inventory import LineagesGrouped
from shared.events.notifier import ApprovalGranted, ApprovalRefused
from shared.events.renewal import (
    ApprovalSettled,
    CertificateRenewed,
    RenewalAwaitingApproval,
    RenewalFailed,
)
from shared.x509 import key_fingerprint
from tests.renewal.workshop import CALLER, OLD, PATIENCE, Scripted, Workshop

NAMES = ("shop.example.test",)


def person(name: str, *groups: str, role: str = "approver") -> Principal:
    return Principal(id=name, name=name.title(), roles=frozenset({role}), groups=frozenset(groups))


ANN, BEN, CEM = person("ann"), person("ben"), person("cem")


async def guarded(shop: Workshop, needed: int = 1, **given: Any) -> None:
    await shop.profile("guarded", authority="house-ca", approvals_needed=needed, **given)


async def waiting(shop: Workshop) -> ApprovalColumns:
    rows = await shop.approvals.page(after=None, limit=10, caller=CALLER, state=ApprovalState.OPEN)
    [row] = rows
    return row


async def say(
    shop: Workshop, who: Principal, verdict: Verdict = Verdict.GRANT, *, of: str | None = None
) -> Report:
    row = await waiting(shop)
    word = Word(verdict=verdict, digest=of or row.digest, reason="We have looked at it.")
    return await shop.approvals.decide(row.id, word, caller=who, now=shop.time())


async def hear(shop: Workshop, **given: object) -> None:
    row = await waiting(shop)
    values = {
        "approval_id": row.id,
        "digest": row.digest,
        "decided_by": "ann",
        "name": "ann@example.test",
        "roles": [],
        "groups": [],
        "reason": "CHG0042",
        "passed_on_by": "service desk",
        "decided_at": shop.time(),
    }
    async with shop.database.transaction() as tx:
        told = ApprovalGranted.model_validate({**values, **given})
        await shop.approvals.heard(tx, told, verdict=Verdict.GRANT, now=shop.time())


async def said(shop: Workshop) -> list[store.Decision]:
    async with shop.database.read() as session:
        return list(await session.scalars(sa.select(store.Decision).order_by(col(store.Decision.at))))


async def test_an_order_waits_until_enough_people_have_agreed(shop: Workshop) -> None:
    await guarded(shop, 2)
    order = await shop.order(profile="guarded")
    await shop.work_off()
    assert (await shop.only()).state == State.AWAITING_APPROVAL
    assert Scripted.asked == [], "nothing goes outside before it is approved"
    [told] = await shop.events(RenewalAwaitingApproval)
    assert (told.subject_id, told.needed, told.reminder, told.requested_by) == (order.id, 2, 0, "tester")
    await say(shop, ANN)
    await shop.work_off()
    assert (await shop.only()).state == State.AWAITING_APPROVAL
    report = await say(shop, BEN)
    assert report.row.state == ApprovalState.GRANTED
    await shop.work_off()
    assert (await shop.only()).state == State.RENEWED
    [settled] = await shop.events(ApprovalSettled)
    assert (settled.outcome, settled.decided_by) == (ApprovalOutcome.GRANTED, ["ann", "ben"])


async def test_what_is_approved_is_what_goes_out(shop: Workshop) -> None:
    await guarded(shop)
    await shop.order(profile="guarded")
    await shop.work_off()
    row = await waiting(shop)
    assert row.digest == digest(row.document)
    assert row.document["names"] == ["shop.example.test"]
    assert row.document["profile"]["name"] == "guarded"
    await say(shop, ANN)
    await shop.work_off()
    [request] = Scripted.requests
    assert row.document["key_fingerprint"] == key_fingerprint(x509.load_der_x509_csr(request).public_key())


async def test_a_lineage_that_waits_for_approval_gets_no_second_order(shop: Workshop) -> None:
    await guarded(shop)
    await shop.order(profile="guarded")
    await shop.work_off()
    with pytest.raises(Conflict, match="awaiting_approval"):
        await shop.order()


async def test_who_asks_does_not_approve(small_shop: Workshop) -> None:
    shop = small_shop
    await guarded(shop)
    await shop.order(profile="guarded")
    await shop.work_off()
    with pytest.raises(Forbidden, match="does not approve"):
        await say(shop, CALLER)
    [kept] = await said(shop)
    assert (kept.principal, kept.is_counted) == ("tester", False)
    assert not await shop.approvals.page(after=None, limit=10, caller=CALLER, is_inbox=True)


async def test_nobody_counts_twice(shop: Workshop) -> None:
    await guarded(shop, 2)
    await shop.order(profile="guarded")
    await shop.work_off()
    await say(shop, ANN)
    with pytest.raises(Conflict, match="decided on it already"):
        await say(shop, ANN)
    await shop.work_off()
    assert (await shop.only()).state == State.AWAITING_APPROVAL


async def test_another_digest_is_refused_and_recorded(small_shop: Workshop) -> None:
    shop = small_shop
    await guarded(shop)
    await shop.order(profile="guarded")
    await shop.work_off()
    with pytest.raises(Conflict, match="not that of what waits"):
        await say(shop, ANN, of="0" * 64)
    [kept] = await said(shop)
    assert (kept.digest, kept.is_counted) == ("0" * 64, False)
    assert (await waiting(shop)).state == ApprovalState.OPEN


async def test_one_refusal_ends_it_and_the_order_says_why(shop: Workshop) -> None:
    await guarded(shop, 3)
    await shop.order(profile="guarded")
    await shop.work_off()
    await say(shop, ANN)
    await say(shop, BEN, Verdict.REFUSE)
    order = await shop.only()
    assert order.state == State.FAILED
    assert order.last_error == "Ben has refused it: We have looked at it."
    assert order.private_key is None
    [failed] = await shop.events(RenewalFailed)
    assert failed.next_attempt_at is None


async def test_a_refused_order_that_is_tried_again_is_asked_for_again(small_shop: Workshop) -> None:
    shop = small_shop
    await guarded(shop)
    order = await shop.order(profile="guarded")
    await shop.work_off()
    first = await waiting(shop)
    await say(shop, ANN, Verdict.REFUSE)
    await shop.orders.retry(order.id, caller=CALLER, now=shop.time())
    await shop.work_off()
    second = await waiting(shop)
    assert second.id != first.id
    assert second.digest != first.digest, "it has another key"


async def test_groups_and_roles_say_who_decides(shop: Workshop) -> None:
    await guarded(shop, approver_groups=["security"], approver_roles=["approver"])
    await shop.order(profile="guarded")
    await shop.work_off()
    row = await waiting(shop)
    async with shop.database.transaction() as tx:
        told = LineagesGrouped(group_id="web", joined=["lineage"])
        await shop.enrolments.grouped(tx, told, at=shop.time())
    of_web, of_security = person("web", "web"), person("sec", "security")
    with pytest.raises(Forbidden, match="for security to decide"):
        await say(shop, of_web)
    with pytest.raises(Forbidden, match="one of the roles approver"):
        await say(shop, person("root", role="admin"))
    with pytest.raises(NotFound):
        await shop.approvals.get(row.id, caller=person("mail", "mail"))
    inboxes = {
        who.id: len(await shop.approvals.page(after=None, limit=10, caller=who, is_inbox=True))
        for who in (of_web, of_security, ANN, person("root", role="admin"))
    }
    assert inboxes == {"web": 0, "sec": 1, "ann": 1, "root": 0}
    await say(shop, of_security)
    assert not await shop.approvals.page(after=None, limit=10, caller=of_security, is_inbox=True)


async def test_unchanged_automated_renewal_is_approved_before(small_shop: Workshop) -> None:
    shop = small_shop
    await guarded(shop)
    await shop.expires()
    await shop.enrol(profile="guarded")
    await shop.work_off()
    await say(shop, ANN)
    await shop.work_off()
    first = await shop.only()
    assert first.fingerprint is not None
    await shop.replaced(first.fingerprint)
    shop.time.passes(timedelta(days=80))
    await shop.expires(first.fingerprint, not_after=first.not_after)
    await shop.work_off()
    newest, _ = await shop.all()
    assert newest.state == State.RENEWED
    _, steps = await shop.orders.get(newest.id, caller=CALLER)
    assert any("Approved before" in step.text for step in steps)


async def test_automated_renewal_with_other_names_is_asked_for(small_shop: Workshop) -> None:
    """And not decided by who has changed them."""
    shop = small_shop
    await guarded(shop)
    await shop.expires()
    await shop.enrol(profile="guarded")
    await shop.work_off()
    await say(shop, ANN)
    await shop.work_off()
    first = await shop.only()
    assert first.fingerprint is not None
    await shop.replaced(first.fingerprint)
    names = ["shop.example.test", "pay.example.test"]
    changer = Principal(id="ann", name="Ann", roles=frozenset({"admin"}))
    await shop.enrolments.enrol("lineage", profile="guarded", names=names, caller=changer, now=shop.time())
    shop.time.passes(timedelta(days=80))
    await shop.expires(first.fingerprint, not_after=first.not_after)
    await shop.work_off()
    newest, _ = await shop.all()
    assert newest.state == State.AWAITING_APPROVAL
    assert (await waiting(shop)).requesters == ["tester", "ann"]
    with pytest.raises(Forbidden, match="does not approve"):
        await say(shop, ANN)


async def test_an_order_by_hand_is_asked_for_though_nothing_has_changed(small_shop: Workshop) -> None:
    shop = small_shop
    await guarded(shop)
    await shop.order(profile="guarded")
    await shop.work_off()
    await say(shop, ANN)
    await shop.work_off()
    await shop.order(profile="guarded")
    await shop.work_off()
    newest, _ = await shop.all()
    assert newest.state == State.AWAITING_APPROVAL


async def test_an_approval_is_void_where_the_bytes_have_changed(shop: Workshop) -> None:
    """Somebody makes the profile a weaker one between the approval and the order."""
    await guarded(shop)
    await shop.order(profile="guarded")
    await shop.work_off()
    first = await waiting(shop)
    await say(shop, ANN)
    async with shop.database.transaction() as tx:
        await tx.session.execute(
            sa.update(store.Profile)
            .where(col(store.Profile.name) == "guarded")
            .values(lifetime=3600 * 24 * 3650)
        )
    await shop.work_off()
    assert (await shop.only()).state == State.AWAITING_APPROVAL
    second = await waiting(shop)
    assert second.document["profile"]["lifetime"] == 3600 * 24 * 3650
    assert (await shop.approvals.get(first.id, caller=CALLER)).row.state == ApprovalState.VOID
    assert Scripted.asked == []
    with pytest.raises(Conflict, match="not that of what waits"):
        await say(shop, BEN, of=first.digest)


async def test_an_order_that_starts_over_with_another_key_is_asked_for_again(small_shop: Workshop) -> None:
    shop = small_shop
    await guarded(shop)
    await shop.order(profile="guarded")
    await shop.work_off()
    Scripted.script = [NotNow("The authority has forgotten it.", starts_over=True)]
    await say(shop, ANN)
    await shop.work_off()
    shop.time.passes(timedelta(minutes=2))
    await shop.work_off()
    assert (await shop.only()).state == State.AWAITING_APPROVAL
    await say(shop, ANN)
    await shop.work_off()
    assert (await shop.only()).state == State.RENEWED


async def test_an_attempt_that_is_repeated_with_the_same_key_is_not_asked_for_again(
    small_shop: Workshop,
) -> None:
    shop = small_shop
    await guarded(shop)
    await shop.order(profile="guarded")
    await shop.work_off()
    Scripted.script = [NotNow("The authority is away.")]
    await say(shop, ANN)
    await shop.work_off()
    shop.time.passes(timedelta(minutes=2))
    await shop.work_off()
    assert (await shop.only()).state == State.RENEWED


async def test_reminders_are_told_and_time_runs_out(shop: Workshop) -> None:
    await guarded(shop)
    await shop.order(profile="guarded")
    await shop.work_off()
    for _ in range(3):
        await shop.approvals.look_at_due(shop.time())
        shop.time.passes(PATIENCE.reminder + timedelta(seconds=1))
    await shop.approvals.look_at_due(shop.time())
    told = await shop.events(RenewalAwaitingApproval)
    assert [each.reminder for each in told] == [0, 1, 2, 3]
    shop.time.passes(PATIENCE.timeout)
    await shop.approvals.look_at_due(shop.time())
    order = await shop.only()
    assert order.state == State.FAILED
    assert "Nobody has decided by" in (order.last_error or "")
    [settled] = await shop.events(ApprovalSettled)
    assert settled.outcome is ApprovalOutcome.EXPIRED


async def test_an_override_is_on_record_twice_and_told(shop: Workshop) -> None:
    await guarded(shop, 2)
    order = await shop.order(profile="guarded")
    await shop.work_off()
    row = await waiting(shop)
    word = Word(verdict=Verdict.OVERRIDE, digest="", reason="The shop is down.")
    await shop.approvals.override(row.id, word, caller=CALLER, now=shop.time())
    [kept] = await said(shop)
    assert (kept.principal, kept.verdict, kept.reason) == ("tester", Verdict.OVERRIDE, "The shop is down.")
    assert kept.digest == row.digest
    _, steps = await shop.orders.get(order.id, caller=CALLER)
    assert steps[-1].text == "Done without approval, on the word of Tester: The shop is down."
    [settled] = await shop.events(ApprovalSettled)
    assert (settled.outcome, settled.decided_by) == (ApprovalOutcome.OVERRIDDEN, ["tester"])
    await shop.work_off()
    assert (await shop.only()).state == State.RENEWED


async def test_what_was_decided_elsewhere_counts(shop: Workshop) -> None:
    await guarded(shop, approver_groups=["security"])
    await shop.order(profile="guarded")
    await shop.work_off()
    await hear(shop, groups=["web"], decided_by="eve")
    await hear(shop, decided_by="tester")
    await hear(shop, digest="1" * 64)
    assert (await waiting(shop)).state == ApprovalState.OPEN
    await hear(shop, groups=["security"])
    await shop.work_off()
    assert (await shop.only()).state == State.RENEWED
    assert [(each.principal, each.is_counted) for each in await said(shop)] == [
        ("eve", False),
        ("tester", False),
        ("ann", False),
        ("ann", True),
    ]
    assert len(await shop.events(CertificateRenewed)) == 1


async def test_what_is_decided_elsewhere_on_what_is_not_known_changes_nothing(small_shop: Workshop) -> None:
    told = ApprovalRefused(
        approval_id="none",
        digest="0" * 64,
        decided_by="ann",
        name="Ann",
        roles=[],
        groups=[],
        reason="No.",
        passed_on_by="service desk",
        decided_at=small_shop.time(),
    )
    async with small_shop.database.transaction() as tx:
        await small_shop.approvals.heard(tx, told, verdict=Verdict.REFUSE, now=small_shop.time())
    assert await said(small_shop) == []


async def test_what_is_not_needed_any_more_waits_for_nobody(shop: Workshop) -> None:
    await guarded(shop)
    await shop.expires()
    await shop.enrol(profile="guarded")
    await shop.work_off()
    row = await waiting(shop)
    await shop.replaced("f" * 64, old=OLD)
    async with shop.database.transaction() as tx:
        await shop.approvals.sweep(tx, "lineage", now=shop.time())
    report = await shop.approvals.get(row.id, caller=CALLER)
    assert report.row.state == ApprovalState.VOID
    word = Word(verdict=Verdict.GRANT, digest=row.digest, reason="Late.")
    with pytest.raises(Conflict, match="void"):
        await shop.approvals.decide(row.id, word, caller=ANN, now=shop.time())


async def test_nobody_is_reminded_of_what_nothing_waits_for(small_shop: Workshop) -> None:
    shop = small_shop
    await guarded(shop)
    order = await shop.order(profile="guarded")
    await shop.work_off()
    async with shop.database.transaction() as tx:
        row = await tx.session.get_one(store.Order, order.id)
        row.state = State.FAILED
    shop.time.passes(PATIENCE.reminder + timedelta(seconds=1))
    await shop.approvals.look_at_due(shop.time())
    assert [each.reminder for each in await shop.events(RenewalAwaitingApproval)] == [0]
    [settled] = await shop.events(ApprovalSettled)
    assert settled.outcome is ApprovalOutcome.VOID


async def test_names_that_a_team_begins_with_are_decided_by_others_of_it(small_shop: Workshop) -> None:
    """Whoever sees the lineage may decide where no groups are named."""
    shop = small_shop
    await guarded(shop, groups=["*"])
    asker = Principal(id="web-1", name="Web", roles=frozenset({"operator"}), groups=frozenset({"web"}))
    new = NewOrder(names=NAMES, profile="guarded", lineage_id=None)
    await shop.orders.create(new, caller=asker, now=shop.time())
    await shop.work_off()
    with pytest.raises(NotFound):
        await say(shop, person("mail-1", "mail"))
    await say(shop, person("web-2", "web"))
    await shop.work_off()
    assert (await shop.only()).state == State.RENEWED


def test_a_document_is_written_in_one_way() -> None:
    """The example of RFC 8785 §3.2.2, as far as there are no fractions."""
    document = {"string": '€$\u000f\nA\'B"\\\\"/', "literals": [None, True, False], "a": 56}
    written = canonical(document).decode()
    assert written == '{"a":56,"literals":[null,true,false],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    assert json.loads(written) == document
