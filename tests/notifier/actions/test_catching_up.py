"""A channel that is made when something is wrong already, and is told of it when somebody asks for that."""

from datetime import timedelta

import pytest

from services.notifier.actions import catching_up
from services.notifier.actions.channels import ChannelChange
from shared.errors import Conflict, NotFound
from tests.notifier.workshop import CALLER, Workshop, expiring, replaced
from tests.servers.webhook import StartWebhook, Webhook


async def catch_up(shop: Workshop, channel_id: str) -> int:
    """Tell a channel of what is open, and send it."""
    count = await shop.catching_up.catch_up(channel_id, caller=CALLER, now=shop.clock.now)
    await shop.work()
    return count


def told(receiver: Webhook) -> list[str]:
    """Return of which lineages a receiver was told, in the order of their names."""
    bodies = b" ".join(each.body for each in receiver.requests).decode()
    return [lineage for lineage in LINEAGES if f'"{lineage}"' in bodies]


LINEAGES = [f"lineage-{number}" for number in range(1, 6)]


async def test_it_hears_once_of_what_is_open_and_waits_for_somebody_and_then_of_the_end(
    shop: Workshop, start_webhook: StartWebhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "BATCH", 2)  # more than one batch
    old, new = start_webhook(), start_webhook()
    await shop.webhook(old, "old")
    await shop.hear(*(expiring(lineage_id=each) for each in LINEAGES))
    await shop.tick()
    taken, put_off, muted = [await shop.alert(lineage_id=each) for each in LINEAGES[2:]]
    now = shop.clock.now
    await shop.alerts.acknowledge(taken.id, text="", caller=CALLER, now=now)
    later = now + timedelta(days=1)
    await shop.alerts.snooze(put_off.id, until=later, text="", caller=CALLER, now=now)
    await shop.alerts.mute(muted.id, reason="x", caller=CALLER, now=now)
    channel = await shop.webhook(new, "new")
    heard = len(old.requests)
    assert await catch_up(shop, channel.id) == 2
    assert told(new) == LINEAGES[:2]
    assert all(b'"alert.opened"' in each.body for each in new.requests)
    assert await catch_up(shop, channel.id) == 0
    await shop.hear(replaced(at=shop.clock.now))
    await shop.tick()
    assert b'"alert.resolved"' in new.requests[-1].body
    assert (len(new.requests), len(old.requests)) == (3, heard + 1), "nobody else was told anything by it"


async def test_it_hears_of_nothing_that_no_rule_tells_it_and_a_younger_rule_goes_on_about_what_it_tells(
    small_shop: Workshop, start_webhook: StartWebhook
) -> None:
    first, next_ = start_webhook(), start_webhook()
    shop = small_shop
    await shop.drop_default_rule()
    await shop.hear(expiring())
    await shop.tick()
    channel, other = await shop.webhook(first, "first"), await shop.webhook(next_, "next")
    assert await catch_up(shop, channel.id) == 0
    escalation = [{"after": "PT1H", "channels": [other.id]}]
    await shop.rule(channels=[channel.id], plan={"escalation": escalation})
    assert await catch_up(shop, other.id) == 0, "it is told later, and by the rule itself"
    assert await catch_up(shop, channel.id) == 1
    shop.clock.passes(timedelta(hours=1))
    await shop.tick()
    assert (len(first.requests), len(next_.requests)) == (1, 1)


async def test_a_channel_that_is_off_or_not_there_says_so(small_shop: Workshop, webhook: Webhook) -> None:
    channel = await small_shop.webhook(webhook)
    off = ChannelChange(enabled=False)
    await small_shop.channels.change(channel.id, change=off, caller=CALLER, now=small_shop.clock.now)
    with pytest.raises(Conflict, match="is off"):
        await catch_up(small_shop, channel.id)
    with pytest.raises(NotFound):
        await catch_up(small_shop, "nowhere")
