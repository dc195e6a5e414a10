"""What happens to an alert that nobody takes up, or that somebody puts off or mutes."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from services.notifier import store
from shared.errors import Conflict, Invalid
from shared.events.inventory import Urgency
from tests.notifier.workshop import CALLER, Workshop, expiring, replaced
from tests.servers.webhook import StartWebhook, Webhook

HOUR = timedelta(hours=1)


@pytest.fixture
def receivers(start_webhook: StartWebhook) -> Sequence[Webhook]:
    """A receiver for each of three levels."""
    return [start_webhook() for _ in range(3)]


async def pursuing(shop: Workshop, receivers: Sequence[Webhook], **plan: Any) -> None:
    """Make a rule that escalates after four and after eight hours."""
    await shop.drop_default_rule()
    ids = [(await shop.webhook(each, f"level {level}")).id for level, each in enumerate(receivers)]
    escalation = [{"after": "PT4H", "channels": [ids[1]]}, {"after": "PT8H", "channels": [ids[2]]}]
    await shop.rule(channels=[ids[0]], plan={"escalation": escalation, **plan})


async def pass_hours(shop: Workshop, hours: int) -> None:
    """Let time pass, hour by hour."""
    for _ in range(hours):
        shop.clock.passes(HOUR)
        await shop.tick()


def counts(receivers: Sequence[Webhook]) -> list[int]:
    """Return how much each receiver was told."""
    return [len(each.requests) for each in receivers]


async def open_one(shop: Workshop) -> store.Alert:
    """Let a certificate expire, and return the alert."""
    await shop.hear(expiring())
    await shop.tick()
    return await shop.alert(lineage_id="lineage-1")


async def test_what_nobody_takes_up_is_told_to_the_next_level_and_then_to_the_one_after(
    shop: Workshop, receivers: Sequence[Webhook]
) -> None:
    await pursuing(shop, receivers)
    await open_one(shop)
    assert counts(receivers) == [1, 0, 0]
    await pass_hours(shop, 4)
    assert counts(receivers) == [1, 1, 0]
    assert b"Nobody has taken it up for 4 hours" in receivers[1].requests[0].body
    assert b'"alert.opened"' in receivers[1].requests[0].body, "it is new to them"
    await pass_hours(shop, 6)
    assert counts(receivers) == [1, 1, 1]
    await shop.hear(replaced(at=shop.clock.now))
    await shop.tick()
    assert counts(receivers) == [2, 2, 2], "whoever was told hears of the end"
    await pass_hours(shop, 2)
    assert counts(receivers) == [2, 2, 2]


async def test_what_is_acknowledged_in_time_goes_no_further_until_it_becomes_worse(
    small_shop: Workshop, receivers: Sequence[Webhook]
) -> None:
    await pursuing(small_shop, receivers, repeat_every="PT1H")
    alert = await open_one(small_shop)
    await small_shop.alerts.acknowledge(alert.id, text="", caller=CALLER, now=small_shop.clock.now)
    await pass_hours(small_shop, 5)
    assert counts(receivers) == [1, 0, 0]
    await small_shop.hear(expiring(Urgency.CRITICAL))
    await pass_hours(small_shop, 4)
    assert counts(receivers)[1] == 1


async def test_it_is_repeated_to_all_levels_that_know_of_it(
    small_shop: Workshop, receivers: Sequence[Webhook]
) -> None:
    await pursuing(small_shop, receivers, repeat_every="PT3H")
    await open_one(small_shop)
    await pass_hours(small_shop, 3)
    assert counts(receivers) == [2, 0, 0]
    await pass_hours(small_shop, 1)
    assert counts(receivers) == [2, 1, 0]
    await pass_hours(small_shop, 3)
    assert counts(receivers) == [3, 2, 0]
    assert b"Open for 7 hours" in receivers[0].requests[-1].body


async def test_what_is_put_off_is_silent_until_then_and_then_begins_anew(
    shop: Workshop, receivers: Sequence[Webhook]
) -> None:
    await pursuing(shop, receivers, repeat_every="PT1H")
    alert = await open_one(shop)
    until = shop.clock.now + 24 * HOUR
    story = await shop.alerts.snooze(alert.id, until=until, text="CHG42", caller=CALLER, now=shop.clock.now)
    assert "CHG42" in story.history[-1].text
    shop.clock.passes(22 * HOUR)
    await pass_hours(shop, 1)
    assert counts(receivers) == [1, 0, 0]
    await pass_hours(shop, 1)
    assert counts(receivers) == [2, 0, 0]
    assert (await shop.alert(id=alert.id)).snoozed_until is None
    await pass_hours(shop, 4)
    assert counts(receivers)[1] == 1


async def test_a_rise_in_severity_ends_a_snooze(small_shop: Workshop, receivers: Sequence[Webhook]) -> None:
    await pursuing(small_shop, receivers)
    alert = await open_one(small_shop)
    until = small_shop.clock.now + 24 * HOUR
    await small_shop.alerts.snooze(alert.id, until=until, text="", caller=CALLER, now=small_shop.clock.now)
    await small_shop.hear(expiring(Urgency.CRITICAL))
    await small_shop.tick()
    assert counts(receivers) == [2, 0, 0]


async def test_what_is_muted_is_silent_however_bad_it_gets_and_its_end_is_told(
    small_shop: Workshop, receivers: Sequence[Webhook]
) -> None:
    await pursuing(small_shop, receivers, repeat_every="PT1H")
    alert = await open_one(small_shop)
    story = await small_shop.alerts.mute(
        alert.id, reason="It is switched off.", caller=CALLER, now=small_shop.clock.now
    )
    assert (story.alert.muted_by, story.alert.muted_because) == ("tester", "It is switched off.")
    await small_shop.hear(expiring(Urgency.CRITICAL))
    await pass_hours(small_shop, 5)
    assert counts(receivers) == [1, 0, 0]
    await small_shop.hear(replaced(at=small_shop.clock.now))
    await small_shop.tick()
    assert counts(receivers) == [2, 0, 0]


async def test_an_alert_that_is_woken_is_told_again(
    small_shop: Workshop, receivers: Sequence[Webhook]
) -> None:
    await pursuing(small_shop, receivers)
    alert = await open_one(small_shop)
    with pytest.raises(Conflict, match="not silent"):
        await small_shop.alerts.wake(alert.id, caller=CALLER, now=small_shop.clock.now)
    await small_shop.alerts.mute(alert.id, reason="x", caller=CALLER, now=small_shop.clock.now)
    await small_shop.alerts.wake(alert.id, caller=CALLER, now=small_shop.clock.now)
    await pass_hours(small_shop, 4)
    assert counts(receivers) == [2, 1, 0]


@pytest.mark.parametrize("days", [-1, 0, 91])
async def test_a_snooze_has_an_end_that_is_not_far(small_shop: Workshop, days: int) -> None:
    alert = await open_one(small_shop)
    now = small_shop.clock.now
    with pytest.raises(Invalid):
        await small_shop.alerts.snooze(
            alert.id, until=now + timedelta(days=days), text="", caller=CALLER, now=now
        )


async def test_what_waits_for_business_hours_and_is_over_before_is_told_to_nobody(
    small_shop: Workshop, webhook: Webhook
) -> None:
    await small_shop.drop_default_rule()
    channel = await small_shop.webhook(webhook)
    await small_shop.rule(channels=[channel.id], plan={"hours": {"zone": "UTC"}})
    small_shop.clock.passes(10 * HOUR)
    await small_shop.hear(expiring(), expiring(lineage_id="lineage-2"))
    await small_shop.tick()
    await small_shop.hear(replaced(at=small_shop.clock.now))
    await pass_hours(small_shop, 9)
    assert webhook.requests == []
    await pass_hours(small_shop, 1)
    assert [b"lineage-2" in request.body for request in webhook.requests] == [True]
    assert await small_shop.states() == {"hook": [(1, "withdrawn"), (1, "delivered")]}
