"""Deliveries: tried by schedule, given up loudly, and never lost to a process that dies."""

from datetime import timedelta

import pytest

from services.notifier.connectors import Delivered, Later, Never
from shared.errors import Conflict, NotFound
from shared.events.inventory import Urgency
from tests.notifier.workshop import CALLER, WAITS, Workshop, expiring, replaced
from tests.servers.webhook import Answer, Webhook


async def test_what_a_dead_process_had_claimed_is_sent_again_once_its_lease_is_over(
    shop: Workshop, webhook: Webhook
) -> None:
    await shop.webhook(webhook)
    await shop.hear(expiring())
    await shop.claim()
    assert await shop.work() == [], "somebody is at it"
    shop.clock.passes(timedelta(seconds=91))
    assert [type(sent) for sent in await shop.work()] == [Delivered]


async def test_a_process_that_comes_too_late_changes_nothing(shop: Workshop, webhook: Webhook) -> None:
    await shop.webhook(webhook)
    await shop.hear(expiring())
    slow = await shop.claim()
    shop.clock.passes(timedelta(seconds=91))
    await shop.work()
    await shop.record(slow, Never(reason="too late"))
    assert await shop.states() == {"hook": [(1, "delivered")]}


async def test_only_the_last_to_claim_a_delivery_says_what_became_of_it(
    shop: Workshop, webhook: Webhook
) -> None:
    await shop.webhook(webhook)
    await shop.hear(expiring())
    slow = await shop.claim()
    shop.clock.passes(timedelta(seconds=91))
    present = await shop.claim()
    await shop.record(slow, Never(reason="too late"))
    await shop.record(present, Delivered(answer="in time"))
    assert await shop.states() == {"hook": [(1, "delivered")]}


async def test_a_restart_on_sqlite_takes_up_at_once_what_was_under_way(
    small_shop: Workshop, webhook: Webhook
) -> None:
    await small_shop.webhook(webhook)
    await small_shop.hear(expiring())
    await small_shop.claim()
    await small_shop.deliveries.recover()
    assert [type(sent) for sent in await small_shop.work()] == [Delivered]


async def test_the_last_failed_attempt_is_the_end_and_is_told_through_the_other_channel(
    shop: Workshop, webhook: Webhook
) -> None:
    webhook.default = Answer(status=500)
    dead = await shop.webhook(webhook, "dead")
    await shop.hear(expiring())
    for wait in (*WAITS, timedelta()):
        assert [type(sent) for sent in await shop.work()] == [Later]
        shop.clock.passes(wait * 1.2)
    assert await shop.work() == []
    assert await shop.states() == {"dead": [(1, "failed")]}
    alert = await shop.alert(problem="channel-dead")
    assert alert.summary == "The channel dead does not deliver"
    assert "HTTP 500" in str(alert.details)
    assert dead.id not in {
        row.channel_id for row in (await shop.alerts.get(alert.id, caller=CALLER)).deliveries
    }


async def test_a_channel_that_fails_for_a_while_is_reported_before_it_is_given_up(
    shop: Workshop, webhook: Webhook, start_webhook: object
) -> None:
    assert callable(start_webhook)
    other: Webhook = start_webhook()
    webhook.default = Answer(status=500)
    await shop.webhook(webhook, "dead")
    await shop.hear(expiring())
    await shop.webhook(other, "alive")
    for _ in range(shop.report_after):
        await shop.work()
        shop.clock.passes(WAITS[0] * 1.2)
    await shop.work()
    assert b"The channel dead does not deliver" in other.requests[-1].body
    webhook.default = Answer()
    shop.clock.passes(WAITS[1] * 1.2)
    await shop.work()
    assert (await shop.alert(problem="channel-dead")).state == "resolved"
    assert b"The channel dead delivers again" in other.requests[-1].body


async def test_410_turns_the_channel_off_and_ends_what_was_to_go_through_it(
    shop: Workshop, webhook: Webhook
) -> None:
    webhook.default = Answer(status=410)
    made = await shop.webhook(webhook)
    await shop.hear(expiring(), expiring(lineage_id="lineage-2"))
    await shop.work()
    row = await shop.channels.get(made.id, caller=CALLER)
    assert not row.enabled
    assert "410" in (row.disabled_because or "")
    assert await shop.states() == {"hook": [(1, "failed"), (1, "failed")]}
    assert len(webhook.requests) == 1
    await shop.hear(expiring(lineage_id="lineage-3"))
    assert await shop.work() == []


async def test_turns_reach_a_channel_in_their_order_even_if_the_first_has_to_wait(
    shop: Workshop, webhook: Webhook
) -> None:
    webhook.answer(Answer(status=503))
    await shop.webhook(webhook)
    await shop.hear(expiring(Urgency.WARNING))
    await shop.work()
    await shop.hear(expiring(Urgency.CRITICAL), replaced())
    assert await shop.work() == []
    shop.clock.passes(WAITS[0] * 1.2)
    assert len(await shop.work()) == 3
    kinds = [request.body.split(b'"')[3] for request in webhook.requests[1:]]
    assert kinds == [b"alert.opened", b"alert.raised", b"alert.resolved"]


async def test_the_end_is_told_to_those_who_were_told_of_the_beginning(
    shop: Workshop, webhook: Webhook
) -> None:
    await shop.webhook(webhook)
    await shop.hear(expiring())
    (rule,) = await shop.rules.page(after=None, limit=10, caller=CALLER)
    await shop.rules.delete(rule.id, caller=CALLER)
    await shop.hear(replaced(), expiring(lineage_id="lineage-2"))
    assert await shop.states() == {"hook": [(1, "pending"), (2, "pending")]}


async def test_a_receiver_that_asks_for_time_gets_it(shop: Workshop, webhook: Webhook) -> None:
    webhook.answer(Answer(status=429, headers={"retry-after": "3600"}))
    await shop.webhook(webhook)
    await shop.hear(expiring())
    await shop.work()
    shop.clock.passes(timedelta(minutes=59))
    assert await shop.work() == []
    shop.clock.passes(timedelta(minutes=8))
    assert [type(sent) for sent in await shop.work()] == [Delivered]


async def test_a_failed_delivery_can_be_tried_again(shop: Workshop, webhook: Webhook) -> None:
    webhook.answer(*[Answer(status=500)] * (len(WAITS) + 1))
    await shop.webhook(webhook)
    await shop.hear(expiring())
    for wait in (*WAITS, timedelta()):
        await shop.work()
        shop.clock.passes(wait * 1.2)
    (row,) = await shop.deliveries.page(only={"state": "failed"}, after=None, limit=10, caller=CALLER)
    await shop.deliveries.retry(row.id, caller=CALLER, now=shop.clock())
    assert [type(sent) for sent in await shop.work()] == [Delivered]
    with pytest.raises(Conflict):
        await shop.deliveries.retry(row.id, caller=CALLER, now=shop.clock())
    with pytest.raises(NotFound):
        await shop.deliveries.retry("none", caller=CALLER, now=shop.clock())


async def test_an_error_of_our_own_is_tried_later_and_ends_nothing(
    small_shop: Workshop, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    await small_shop.webhook(webhook)
    await small_shop.hear(expiring())

    def broken(*_args: object, **_options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("services.notifier.connectors.webhook.body", broken)
    (sent,) = await small_shop.work()
    assert isinstance(sent, Later)
    assert "ZeroDivisionError" in sent.reason
