"""When enrolled lineages are renewed: kept, visible with its reason, brought forward by people, events and authorities."""

from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest
import sqlalchemy as sa
from sqlmodel import col

from services.renewal import store
from services.renewal.actions.certificates import Certificates
from services.renewal.actions.distrusts import NewDistrust
from services.renewal.connectors import NotNow, Window
from services.renewal.connectors.inventory import Inventory
from services.renewal.domain.orders import State
from services.renewal.domain.schedule import Reason
from shared.access import Principal
from shared.errors import Forbidden, Invalid, NotFound, Refused, Stale
from shared.events.inventory import (
    CertificateCompliant,
    CertificateNoncompliant,
    CertificateRevocationSeen,
    RuleSeverity,
    Urgency,
)
from shared.x509 import fingerprint
from tests.renewal.workshop import CALLER, OLD, Scripted, Workshop, terms

DAY = timedelta(days=1)


async def known(shop: Workshop, of: str = OLD, *, days: int = 90, age: int = 1, **given: Any) -> None:
    """Let inventory say what the lineage has, long before it runs out."""
    begin = shop.time().replace(microsecond=0) - age * DAY
    await shop.expires(of, not_before=begin, not_after=begin + days * DAY, **given)


async def renewed(shop: Workshop) -> store.Order:
    """Let the lineage have a certificate of ours, one hour old."""
    await shop.enrol(["shop.example.test"])
    await shop.schedules.renew_now("lineage", caller=CALLER, now=shop.time())
    await shop.work_off()
    return await shop.only()


# The instant is kept


async def test_a_lineage_is_due_two_thirds_in_and_is_ordered_then(shop: Workshop) -> None:
    await shop.enrol()
    await known(shop)
    row = await shop.schedule()
    assert (row.reason, row.ordered_at) == (Reason.FRACTION, None)
    assert abs(row.renew_at - (shop.time() + 59 * DAY)) < 1 * DAY
    assert await shop.all() == [], "inventory's first word is no longer what orders"
    await shop.order_due()
    assert await shop.all() == []
    shop.time.passes(60 * DAY)
    await shop.order_due()
    await shop.order_due()
    order = await shop.only()
    assert (order.reason, order.old_fingerprint, order.created_by) == (Reason.FRACTION, OLD, "renewal")
    assert (await shop.schedule()).ordered_at is not None


async def test_what_was_renewed_is_scheduled_from_its_order(shop: Workshop) -> None:
    order = await renewed(shop)
    row = await shop.schedule()
    assert (row.fingerprint, row.ordered_at, row.forced) == (order.fingerprint, None, None)
    assert row.not_after == order.not_after
    assert abs(row.renew_at - (shop.time() + 60 * DAY)) < 1 * DAY
    assert row.issuer == "CN=house-ca"
    assert row.issuer_key is not None
    shop.time.passes(62 * DAY)
    await shop.order_due()
    await shop.work_off()
    assert [each.reason for each in await shop.all()] == [Reason.FRACTION, Reason.ASKED]


async def test_a_renewal_says_which_certificate_it_replaces(small_shop: Workshop) -> None:
    first = await renewed(small_shop)
    await small_shop.schedules.renew_now("lineage", caller=CALLER, now=small_shop.time())
    await small_shop.work_off()
    assert Scripted.replaced[0] is None
    assert Scripted.replaced[1] is not None
    assert fingerprint(Scripted.replaced[1]) == first.fingerprint
    assert (await small_shop.all())[0].old_fingerprint == first.fingerprint


async def test_a_changed_profile_times_its_lineages_anew(shop: Workshop) -> None:
    await shop.enrol()
    await known(shop)
    await shop.change(renew_fraction=0.5)
    await shop.schedules.retime(shop.time())
    row = await shop.schedule()
    assert row.reason == Reason.PROFILE
    assert abs(row.renew_at - (shop.time() + 44 * DAY)) < 1 * DAY


async def test_inventory_orders_all_the_same_when_it_is_urgent_and_the_schedule_is_not(
    small_shop: Workshop,
) -> None:
    await small_shop.enrol()
    await small_shop.change(renew_fraction=0.95)
    await known(small_shop, age=80)
    assert await small_shop.all() == []
    await known(small_shop, age=80, urgency=Urgency.ERROR)
    assert (await small_shop.only()).reason == Reason.EXPIRING
    await small_shop.order_due()
    await small_shop.only()


async def test_a_withdrawn_lineage_has_no_schedule(small_shop: Workshop) -> None:
    await small_shop.enrol()
    await small_shop.enrolments.withdraw("lineage", caller=CALLER, now=small_shop.time())
    with pytest.raises(NotFound):
        await small_shop.schedule()


# What inventory is asked


def asking(shop: Workshop, *answers: httpx.Response) -> Certificates:
    told = list(answers)
    transport = httpx.MockTransport(lambda _request: told.pop(0))
    client = httpx.AsyncClient(transport=transport, base_url="http://inventory")
    return Certificates(shop.database, inventory=Inventory(client), schedules=shop.schedules)


def listed(shop: Workshop, *, age: int) -> httpx.Response:
    begin = shop.time() - age * DAY
    item = {
        "fingerprint": OLD,
        "lineage_id": "lineage",
        "names": ["shop.example.test"],
        "issuer": "CN=R3",
        "not_before": begin.isoformat(),
        "not_after": (begin + 90 * DAY).isoformat(),
        "key_type": "rsa",
        "key_bits": 2048,
        "finding": None,
        "is_ca": False,
        "is_current": True,
    }
    return httpx.Response(200, json={"items": [item]})


async def test_inventory_is_asked_until_it_has_said_which_certificate_it_is(small_shop: Workshop) -> None:
    await small_shop.enrol()
    assert (await small_shop.schedule()).reason == Reason.UNKNOWN
    certificates = asking(
        small_shop,
        httpx.Response(503),
        httpx.Response(200, json={"items": []}),
        listed(small_shop, age=70),
    )
    await certificates.ask(small_shop.time())
    assert (await small_shop.schedule()).reason == Reason.UNKNOWN
    await certificates.ask(small_shop.time())  # not yet: it is not asked in a hurry
    small_shop.time.passes(timedelta(minutes=6))
    await certificates.ask(small_shop.time())
    small_shop.time.passes(timedelta(hours=7))
    await certificates.ask(small_shop.time())
    row = await small_shop.schedule()
    assert (row.fingerprint, row.issuer, row.ask_at) == (OLD, "CN=R3", None)
    assert (await small_shop.only()).reason == Reason.FRACTION, "it was due already"


async def test_what_somebody_else_has_replaced_is_asked_for_anew(small_shop: Workshop) -> None:
    await small_shop.enrol()
    await known(small_shop)
    await small_shop.replaced("f" * 64)
    row = await small_shop.schedule()
    assert (row.fingerprint, row.reason) == (None, Reason.UNKNOWN)
    assert row.ask_at is not None


# What the authority says


async def test_a_window_in_the_past_pulls_a_renewal_forward(shop: Workshop) -> None:
    await renewed(shop)
    now = shop.time()
    Scripted.windows.append(
        Window(
            start=now + 20 * DAY,
            end=now + 22 * DAY,
            explanation_url="https://ca.test/why",
            ask_again_after=timedelta(hours=12),
        )
    )
    await shop.windows.look(shop.time())
    row = await shop.schedule()
    assert row.reason == Reason.ARI
    assert now + 20 * DAY <= row.renew_at < now + 22 * DAY
    assert row.ari_explanation == "https://ca.test/why"
    assert row.look_at is not None
    assert abs(row.look_at - (now + timedelta(hours=12))) < timedelta(minutes=5)
    # The authority has to revoke: its window is over.
    shop.time.passes(timedelta(hours=13))
    Scripted.windows.append(Window(start=now - 2 * DAY, end=now - DAY, ask_again_after=timedelta(hours=6)))
    await shop.windows.look(shop.time())
    assert [order.reason for order in await shop.all()] == [Reason.ARI, Reason.ASKED]
    assert (await shop.schedule()).look_at is None, (
        "what is being replaced is not asked about (RFC 9773 §4.3)"
    )


async def test_an_authority_that_does_not_answer_is_asked_later_and_nothing_changes(
    small_shop: Workshop,
) -> None:
    await renewed(small_shop)
    before = (await small_shop.schedule()).renew_at
    Scripted.windows.extend([NotNow("Busy."), Refused("Gone.", next_step="Look.")])
    for failures, wait in ((1, timedelta(minutes=5)), (2, timedelta(hours=6))):
        await small_shop.windows.look(small_shop.time())
        row = await small_shop.schedule()
        assert (row.ari_failures, row.renew_at) == (failures, before)
        assert row.look_at is not None
        assert abs(row.look_at - (small_shop.time() + wait)) < timedelta(minutes=1)
        small_shop.time.passes(wait + timedelta(minutes=1))
    await small_shop.windows.look(small_shop.time())
    assert (await small_shop.schedule()).ari_failures == 0


async def test_nobody_is_asked_about_what_has_expired(small_shop: Workshop) -> None:
    await renewed(small_shop)
    small_shop.time.passes(91 * DAY)
    Scripted.windows.append(NotNow("not asked"))
    await small_shop.windows.look(small_shop.time())
    assert Scripted.windows
    assert (await small_shop.schedule()).look_at is None


# What makes it due


def revoked(shop: Workshop, of: str = OLD) -> CertificateRevocationSeen:
    return CertificateRevocationSeen(
        lineage_id="lineage",
        fingerprint=of,
        revoked_at=shop.time(),
        reason="keyCompromise",
        means="ocsp",
        seen_at=shop.time(),
        subject_name="CN=shop",
        issuer_name="CN=R3",
        names=["shop.example.test"],
        places=[],
        place_count=0,
    )


async def test_a_revoked_certificate_is_due_at_once(shop: Workshop) -> None:
    await shop.enrol()
    await known(shop)
    for of, orders in (("e" * 64, 0), (OLD, 1), (OLD, 1)):
        async with shop.database.transaction() as tx:
            await shop.schedules.revocation_seen(tx, revoked(shop, of), now=shop.time())
        assert len(await shop.all()) == orders, of
    assert (await shop.only()).reason == Reason.REVOKED
    row = await shop.schedule()
    assert row.because == "It was seen to be revoked (keyCompromise) by ocsp."


async def test_a_revoked_certificate_is_due_before_anything_else_is_known_of_it(small_shop: Workshop) -> None:
    await small_shop.enrol()
    async with small_shop.database.transaction() as tx:
        await small_shop.schedules.revocation_seen(tx, revoked(small_shop), now=small_shop.time())
    order = await small_shop.only()
    assert (order.old_fingerprint, order.names) == (OLD, ["shop.example.test"])


def noncompliant(shop: Workshop, severity: RuleSeverity, of: str = OLD) -> CertificateNoncompliant:
    return CertificateNoncompliant(
        lineage_id="lineage",
        fingerprint=of,
        policy="p",
        policy_title="House rules",
        policy_version=1,
        severity=severity,
        rules=[],
        names=["shop.example.test"],
        places=[],
        place_count=1,
        judged_at=shop.time(),
    )


async def test_what_breaks_a_policy_is_renewed_only_where_the_profile_says_so(small_shop: Workshop) -> None:
    await small_shop.enrol()
    await known(small_shop)

    async def judged(severity: RuleSeverity, of: str = OLD) -> str:
        async with small_shop.database.transaction() as tx:
            told = noncompliant(small_shop, severity, of)
            await small_shop.schedules.noncompliant(tx, told, now=small_shop.time())
        return (await small_shop.schedule()).reason

    assert await judged(RuleSeverity.HIGH) == Reason.FRACTION
    await small_shop.change(renew_noncompliant=RuleSeverity.MEDIUM)
    assert await judged(RuleSeverity.LOW) == Reason.FRACTION
    assert await judged(RuleSeverity.MEDIUM) == Reason.NONCOMPLIANT
    assert await small_shop.all() == [], (
        "a policy that finds very many is no storm: they are spread over a day"
    )
    assert (await small_shop.schedule()).renew_at < small_shop.time() + DAY
    async with small_shop.database.transaction() as tx:
        over = CertificateCompliant(
            lineage_id="lineage",
            fingerprint=OLD,
            policy="p",
            policy_title="House rules",
            reason="It is switched off.",
            judged_at=small_shop.time(),
        )
        await small_shop.schedules.compliant(tx, over, now=small_shop.time())
    assert (await small_shop.schedule()).reason == Reason.FRACTION
    assert await judged(RuleSeverity.HIGH) == Reason.NONCOMPLIANT
    await small_shop.work_off()
    order = await small_shop.only()
    # The new one breaks it still: to renew it would go on for ever.
    assert await judged(RuleSeverity.HIGH, order.fingerprint or "") == Reason.FRACTION
    await small_shop.only()


async def test_a_distrusted_issuer_makes_all_it_has_issued_due_and_another_issues(shop: Workshop) -> None:
    await shop.authority("other-ca", kind="scripted")
    await renewed(shop)
    await shop.enrol(["a.example.test"], lineage_id="elsewhere")
    await known(shop, "e" * 64, lineage_id="elsewhere", issuer_name="CN=R3")
    new = NewDistrust(authority="house-ca", reason="Its key is out.")
    distrust, due = await shop.distrusts.create(new, caller=CALLER, now=shop.time())
    assert due == 1
    await shop.order_due()
    failed = (await shop.all())[0]
    assert failed.state == State.FAILED
    assert "not trusted any more" in (failed.last_error or "")
    await shop.change(fallback_authority="other-ca")
    await shop.schedules.renew_now("lineage", caller=CALLER, now=shop.time())
    await shop.work_off()
    assert (await shop.all())[0].authority == "other-ca"
    assert (await shop.schedule()).reason == Reason.FRACTION, "the new one is not of the distrusted issuer"
    by_name = NewDistrust(issuer="CN=R3", reason="It is out.")
    assert (await shop.distrusts.create(by_name, caller=CALLER, now=shop.time()))[1] == 1
    assert (await shop.schedule("elsewhere")).reason == Reason.DISTRUSTED
    await shop.distrusts.lift(distrust.id, caller=CALLER)
    assert len(await shop.distrusts.all(caller=CALLER)) == 1


async def test_an_order_that_waits_does_not_go_to_an_authority_that_is_distrusted_meanwhile(
    small_shop: Workshop,
) -> None:
    await small_shop.authority("other-ca")
    await small_shop.order()
    new = NewDistrust(authority="house-ca", reason="Its key is out.")
    await small_shop.distrusts.create(new, caller=CALLER, now=small_shop.time())
    await small_shop.work_off()
    order = await small_shop.only()
    assert (order.state, Scripted.asked) == (State.FAILED, [])
    await small_shop.change(fallback_authority="other-ca")
    await small_shop.orders.retry(order.id, caller=CALLER, now=small_shop.time())
    await small_shop.work_off()
    order = await small_shop.only()
    assert (order.state, order.authority) == (State.RENEWED, "other-ca")


async def test_what_the_policy_forbids_is_not_had_by_trying_again(small_shop: Workshop) -> None:
    await small_shop.enrol()
    await small_shop.expires(names=["evil.test"])
    order = await small_shop.only()
    assert order.state == State.FAILED
    with pytest.raises(Invalid, match=r"evil\.test"):
        await small_shop.orders.retry(order.id, caller=CALLER, now=small_shop.time())


async def test_an_authority_that_breaks_is_asked_later(small_shop: Workshop) -> None:
    await renewed(small_shop)
    Scripted.windows.append(RuntimeError("a bug"))
    await small_shop.windows.look(small_shop.time())
    assert (await small_shop.schedule()).ari_failures == 1


async def test_what_is_learnt_later_of_a_distrusted_issuer_is_due_too(small_shop: Workshop) -> None:
    by_name = NewDistrust(issuer="CN=R3", reason="It is out.")
    await small_shop.distrusts.create(by_name, caller=CALLER, now=small_shop.time())
    await small_shop.enrol()
    await known(small_shop, issuer_name="CN=R3")
    assert (await small_shop.only()).reason == Reason.DISTRUSTED


async def test_who_is_not_trusted_is_said_in_one_way_and_by_who_sees_everything(small_shop: Workshop) -> None:
    both = NewDistrust(issuer="a", issuer_key="b", reason="x")
    with pytest.raises(Invalid, match="Exactly one"):
        await small_shop.distrusts.create(both, caller=CALLER, now=small_shop.time())
    nobody = NewDistrust(authority="nobody", reason="x")
    with pytest.raises(Invalid, match="no authority named"):
        await small_shop.distrusts.create(nobody, caller=CALLER, now=small_shop.time())
    scoped = Principal(id="sam", name="sam", roles=frozenset({"operator"}), groups=frozenset({"shop"}))
    with pytest.raises(Forbidden):
        await small_shop.distrusts.create(
            NewDistrust(issuer="a", reason="x"), caller=scoped, now=small_shop.time()
        )


# One lineage, one order


async def test_whoever_asks_however_often_there_is_one_open_order(shop: Workshop) -> None:
    await shop.enrol()
    await known(shop)
    replica = Workshop(shop.database, time=shop.time)
    shop.time.passes(70 * DAY)
    answers: list[str] = []

    async def person(at: Workshop) -> None:
        answers.append((await at.schedules.renew_now("lineage", caller=CALLER, now=at.time())).id)

    async def event(at: Workshop) -> None:
        async with at.database.transaction() as tx:
            await at.schedules.revocation_seen(tx, revoked(at), now=at.time())

    async with anyio.create_task_group() as tasks:
        for at in (shop, replica) * 3:
            tasks.start_soon(at.order_due)
            tasks.start_soon(person, at)
            tasks.start_soon(event, at)
            tasks.start_soon(at.expires, OLD)
            tasks.start_soon(at.enrol)
    order = await shop.only()
    assert set(answers) == {order.id}


async def test_what_somebody_has_ordered_stands_for_the_renewal_unless_it_fails(shop: Workshop) -> None:
    await shop.enrol()
    await known(shop)
    shop.time.passes(70 * DAY)
    await shop.order()
    await shop.order_due()
    order = await shop.only()
    Scripted.script.append(Refused("No.", next_step="Ask."))
    await shop.work_off()
    await shop.order_due()
    newer, older = await shop.all()
    assert (older.id, older.state) == (order.id, State.FAILED)
    assert (newer.state, newer.reason, newer.old_fingerprint) == (State.PENDING, Reason.FRACTION, OLD)


async def test_due_lineages_are_shared_by_replicas_and_none_is_ordered_twice(shop: Workshop) -> None:
    count = 110
    now = shop.time()
    await shop.enrol(["shop.example.test"])
    enrolment = (await shop.enrolments.get("lineage", caller=CALLER))[0].model_dump()
    async with shop.database.transaction() as tx:
        await tx.session.execute(sa.delete(store.Schedule))
        for number in range(count):
            tx.session.add(store.Enrolment(**enrolment | {"lineage_id": f"l{number}"}))
            tx.session.add(
                store.Schedule(
                    lineage_id=f"l{number}",
                    fingerprint=f"{number:064x}",
                    renew_at=now - DAY,
                    reason=Reason.FRACTION,
                    updated_at=now,
                )
            )
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(shop.order_due)
    await shop.order_due()
    async with shop.database.read() as session:
        lineages = (await session.scalars(sa.select(col(store.Order.lineage_id)))).all()
    assert len(lineages) == len(set(lineages)) == count


# Lists and profiles


async def test_schedules_are_listed_by_when_they_are_due(shop: Workshop) -> None:
    for lineage, age in (("late", 1), ("soon", 50), ("middle", 20)):
        await shop.enrol(["shop.example.test"], lineage_id=lineage)
        await known(shop, lineage[0] * 64, age=age, lineage_id=lineage)
    await shop.enrol(["shop.example.test"], lineage_id="unknown")
    first = await shop.schedules.page(after=None, limit=1, caller=CALLER)
    assert [row.lineage_id for row in first] == ["soon", "middle"]
    rest = await shop.schedules.page(after=(first[0].renew_at, first[0].lineage_id), limit=10, caller=CALLER)
    assert [row.lineage_id for row in rest] == ["middle", "late", "unknown"]
    soon = await shop.schedules.page(
        after=None, limit=10, caller=CALLER, due_before=shop.time() + 30 * DAY, reason=Reason.FRACTION
    )
    assert [row.lineage_id for row in soon] == ["soon"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"key_custody": "pkcs11"}, "key_custody"),
        ({"key_custody": "target", "reuse_key": True, "reuse_key_reason": "pinned"}, "reuse_key"),
        ({"renew_before": 30 * DAY}, "renew_before"),
        ({"renew_before": 30 * DAY, "renew_fraction": 0.5, "lifetime": 398 * DAY}, "renew_before"),
        ({"renew_before": 398 * DAY, "lifetime": 398 * DAY}, "renew_before"),
        ({"reuse_key": True}, "reuse_key_reason"),
        ({"fallback_authority": "house-ca"}, "fallback_authority"),
        ({"fallback_authority": "nobody"}, "fallback_authority"),
    ],
)
async def test_a_profile_that_contradicts_itself_says_where(
    small_shop: Workshop, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await small_shop.profile("other", authority="house-ca", **given)
    assert [fault.pointer for fault in refused.value.faults] == [f"/body/{field}"]


async def test_two_who_change_a_profile_do_not_undo_each_other(small_shop: Workshop) -> None:
    [found] = await small_shop.profiles.page(after=None, limit=10, caller=CALLER)
    new = terms(name="web", authority="house-ca", lifetime=398 * DAY, renew_before=40 * DAY)
    changed = await small_shop.profiles.replace(found.row.id, new, expected=1, caller=CALLER)
    assert changed.row.version == 2
    with pytest.raises(Stale):
        await small_shop.profiles.replace(found.row.id, new, expected=1, caller=CALLER)
