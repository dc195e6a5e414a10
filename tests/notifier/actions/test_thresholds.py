"""Thresholds of rules: noticed once, told by the rule that has them, over restarts and outages."""

from datetime import timedelta
from typing import Any

import pytest

from services.notifier import store
from shared.events.inventory import Contact, LineagesGrouped, Owner, Urgency
from shared.events.renewal import LineageEnrolled, LineageWithdrawn
from tests.notifier.workshop import (
    CALLER,
    NEW,
    NOON,
    OLD,
    Workshop,
    aging,
    expiring,
    renewal_failed,
    renewed,
    replaced,
)
from tests.servers.webhook import Webhook

DAY = timedelta(days=1)
LADDER = {"thresholds": ["90d", "60d", "30d", "7d"]}


async def ladder(shop: Workshop, webhook: Webhook, **plan: Any) -> store.Rule:
    """Make a rule of four thresholds that tells a receiver, and no other rule."""
    await shop.drop_default_rule()
    channel = await shop.webhook(webhook)
    return await shop.rule(
        min_severity="critical", problems=["expiring"], channels=[channel.id], plan={**LADDER, **plan}
    )


LOOKS = (95, 90, 61, 60, 59, 31, 30, 20, 8, 7, 1, 0, -1)
"""Days to go on which the workers look: on those of the thresholds, and around them."""


async def days_until(shop: Workshop, last: int) -> list[int]:
    """Let time pass, and return on which days something was told, counted in days to go."""
    told = []
    for left in LOOKS:
        if left < last:
            break
        shop.clock.now = NOON + (100 - left) * DAY
        before = await count(shop)
        await shop.tick()
        if await count(shop) > before:
            told.append(left)
    return told


async def count(shop: Workshop) -> int:
    """Return how many deliveries there are."""
    return len(await shop.deliveries.page(only={}, after=None, limit=1000, caller=CALLER))


async def test_each_threshold_is_told_once_on_its_day_and_the_end_as_well(
    shop: Workshop, webhook: Webhook
) -> None:
    await ladder(shop, webhook)
    await shop.hear(aging())
    assert await days_until(shop, -1) == [90, 60, 30, 7, 0]
    alert = await shop.alert(lineage_id="lineage-1")
    assert [entry.turn for entry in (await shop.alerts.get(alert.id, caller=CALLER)).history] == [
        "opened",
        "crossed",
        "raised",
        "raised",
        "crossed",
    ]
    assert alert.severity == "critical"
    assert len({request.headers["webhook-id"] for request in webhook.requests}) == 5


async def test_what_was_passed_in_an_outage_is_told_once_as_the_latest_of_it(
    small_shop: Workshop, webhook: Webhook
) -> None:
    await ladder(small_shop, webhook)
    await small_shop.hear(aging())
    small_shop.clock.passes(75 * DAY)
    await small_shop.tick()
    await small_shop.tick()
    [request] = webhook.requests
    assert b"expires in 25 days" in request.body
    small_shop.clock.passes(-30 * DAY)
    await small_shop.tick()
    small_shop.clock.passes(47 * DAY)
    await small_shop.tick()
    assert len(webhook.requests) == 1, "a clock that goes back repeats nothing"
    small_shop.clock.passes(2 * DAY)
    await small_shop.tick()
    assert len(webhook.requests) == 2


async def test_a_rule_that_is_made_later_tells_what_is_passed_already(
    small_shop: Workshop, webhook: Webhook
) -> None:
    await small_shop.hear(aging())
    small_shop.clock.passes(50 * DAY)
    await small_shop.tick()
    assert await small_shop.open_alerts() == {}
    rule = await ladder(small_shop, webhook)
    await small_shop.tick()
    assert await small_shop.open_alerts() == {"expiring": "info"}
    assert len(webhook.requests) == 1
    await small_shop.rules.delete(rule.id, caller=CALLER)
    small_shop.clock.passes(45 * DAY)
    await small_shop.tick()
    assert len(webhook.requests) == 1


async def test_a_successor_ends_it_whether_it_is_seen_in_place_or_obtained(
    small_shop: Workshop, webhook: Webhook
) -> None:
    await ladder(small_shop, webhook)
    await small_shop.hear(aging(), aging(lineage_id="lineage-2"))
    small_shop.clock.passes(20 * DAY)
    await small_shop.tick()
    await small_shop.hear(
        replaced(OLD, NEW, at=small_shop.clock.now), renewed(lineage_id="lineage-2"), aging()
    )
    assert (await small_shop.alert(lineage_id="lineage-1")).state == "resolved"
    assert (await small_shop.alert(lineage_id="lineage-2")).state == "open", "it is not seen in place"
    small_shop.clock.passes(70 * DAY)
    await small_shop.tick()
    assert [request.body.count(b"alert.opened") for request in webhook.requests].count(1) == 2
    assert len(webhook.requests) == 3


async def test_a_rule_that_is_quiet_for_automated_ones_tells_of_them_only_when_they_are_late(
    small_shop: Workshop, webhook: Webhook
) -> None:
    await ladder(small_shop, webhook, is_quiet_while_automated=True)
    enrolled = LineageEnrolled(lineage_id="lineage-1", profile="web", enrolled_at=NOON)
    await small_shop.hear(enrolled, aging())
    assert await days_until(small_shop, 20) == []
    facts: dict[str, Any] = {"not_before": NOON - 100 * DAY, "not_after": NOON + 100 * DAY}
    await small_shop.hear(expiring(Urgency.ERROR, **facts))
    await small_shop.tick()
    assert len(webhook.requests) == 1, "and then at once"
    assert b"expires in 20 days" in webhook.requests[0].body


@pytest.mark.parametrize(
    "event",
    [renewal_failed(), LineageWithdrawn(lineage_id="lineage-1", withdrawn_at=NOON)],
    ids=["failed", "withdrawn"],
)
async def test_nobody_relies_on_a_renewal_that_has_failed_or_is_not_to_be(
    small_shop: Workshop, webhook: Webhook, event: Any
) -> None:
    await ladder(small_shop, webhook, is_quiet_while_automated=True)
    await small_shop.hear(LineageEnrolled(lineage_id="lineage-1", profile="web", enrolled_at=NOON), aging())
    small_shop.clock.passes(15 * DAY)
    await small_shop.tick()
    assert webhook.requests == []
    await small_shop.hear(event)
    await small_shop.tick()
    assert len(webhook.requests) == 1


async def test_one_alert_serves_two_rules_and_each_tells_it_at_its_own_thresholds(
    small_shop: Workshop, webhook: Webhook, start_webhook: Any
) -> None:
    second: Webhook = start_webhook()
    await ladder(small_shop, webhook)
    other = await small_shop.webhook(second, "second")
    await small_shop.rule("other", channels=[other.id], plan={"thresholds": ["50%", "10d"]})
    await small_shop.hear(aging())
    await days_until(small_shop, -1)
    alert = await small_shop.alert(lineage_id="lineage-1")
    assert alert.state == "open", "one for both"
    assert len(webhook.requests) == 5
    assert len(second.requests) == 3
    assert b'"alert.opened"' in second.requests[0].body


async def test_a_lineage_that_comes_into_the_group_of_a_rule_is_told_by_it_then(
    small_shop: Workshop, webhook: Webhook
) -> None:
    await small_shop.drop_default_rule()
    channel = await small_shop.webhook(webhook)
    await small_shop.rule(channels=[channel.id], groups=["web"], plan=LADDER)
    await small_shop.hear(aging())
    small_shop.clock.passes(50 * DAY)
    await small_shop.tick()
    assert webhook.requests == []
    await small_shop.hear(LineagesGrouped(group_id="web", joined=["lineage-1"]))
    await small_shop.tick()
    assert len(webhook.requests) == 1


async def test_the_owner_that_inventory_has_told_is_mailed_by_a_rule_that_addresses_owners(
    small_shop: Workshop, smtp: Any
) -> None:
    await small_shop.drop_default_rule()
    channel = await small_shop.email(smtp)
    await small_shop.rule(channels=[channel.id], plan={**LADDER, "address": "owner"})
    owner = Owner(id="payments", name="Payments", contacts=[Contact(kind="email", value="pay@example.test")])
    await small_shop.hear(aging(owner=owner), aging(lineage_id="lineage-2"))
    small_shop.clock.passes(11 * DAY)
    await small_shop.tick()
    assert sorted(mail.recipients for mail in smtp.inbox) == [
        ("operators@example.test",),
        ("pay@example.test",),
    ]
    await smtp.quiet()
