"""How much a channel is sent at a time, and that it is sent again what it has missed."""

from datetime import datetime, timedelta

from services.notifier import store
from services.notifier.connectors import Delivered, Later
from tests.notifier.workshop import CALLER, NOON, SIGNING_SECRET, WAITS, Workshop, expiring
from tests.servers.webhook import Answer, Webhook

SECRETS = {"signing_secret": SIGNING_SECRET}


async def paced(shop: Workshop, webhook: Webhook, per_minute: int) -> None:
    options = {"url": webhook.url, "per_minute": per_minute}
    await shop.channel("paced", "webhook", options, secrets=SECRETS)


async def test_a_channel_keeps_its_pace(shop: Workshop, webhook: Webhook) -> None:
    await paced(shop, webhook, per_minute=6)
    await shop.hear(*(expiring(lineage_id=f"lineage-{number}") for number in range(3)))
    for _ in range(3):
        assert [type(sent) for sent in await shop.work()] == [Delivered]
        shop.clock.passes(timedelta(seconds=9))
        assert await shop.work() == []
        shop.clock.passes(timedelta(seconds=1))
    assert len(webhook.requests) == 3


async def test_others_do_not_wait_for_a_channel_that_rests(shop: Workshop, webhook: Webhook) -> None:
    await paced(shop, webhook, per_minute=1)
    await shop.webhook(webhook, "fast")
    await shop.hear(*(expiring(lineage_id=f"lineage-{number}") for number in range(3)))
    assert len(await shop.work()) == 1 + 3


async def test_a_delivery_that_somebody_retries_does_not_wait_for_the_pace(
    shop: Workshop, webhook: Webhook
) -> None:
    await paced(shop, webhook, per_minute=1)
    webhook.answer(Answer(status=429, headers={"retry-after": "3600"}))
    await shop.hear(expiring())
    assert [type(sent) for sent in await shop.work()] == [Later]
    [delivery] = await shop.deliveries.page(only={}, after=None, limit=10, caller=CALLER)
    shop.clock.passes(WAITS[0] * 1.2)
    assert await shop.work() == []
    await shop.deliveries.retry(delivery.id, caller=CALLER, now=shop.clock())
    assert [type(sent) for sent in await shop.work()] == [Delivered]


async def replayed(
    shop: Workshop, channel: store.Channel, *, since: datetime = NOON, include_delivered: bool
) -> int:
    return await shop.deliveries.replay(
        channel.id, since=since, include_delivered=include_delivered, caller=CALLER, now=shop.clock()
    )


async def test_what_was_missed_is_sent_again_with_the_identity_it_had(
    shop: Workshop, webhook: Webhook
) -> None:
    channel = await shop.webhook(webhook)
    await shop.hear(expiring(lineage_id="lineage-1"))
    await shop.work()
    webhook.default = Answer(status=500)
    await shop.hear(expiring(lineage_id="lineage-2"))
    for wait in (timedelta(), *WAITS):
        shop.clock.passes(wait * 1.2)
        await shop.work()
    assert sorted(state for _, state in (await shop.states())["hook"]) == ["delivered", "failed"]
    webhook.default = Answer()
    missed = {request.headers["webhook-id"] for request in webhook.requests[1:]}
    assert await replayed(shop, channel, include_delivered=False) == 1
    before = len(webhook.requests)
    await shop.work()
    assert {request.headers["webhook-id"] for request in webhook.requests[before:]} <= missed
    assert await replayed(shop, channel, include_delivered=True) == 2


async def test_nothing_from_before_is_sent_again(shop: Workshop, webhook: Webhook) -> None:
    channel = await shop.webhook(webhook)
    await shop.hear(expiring())
    await shop.work()
    since = shop.clock() + timedelta(seconds=1)
    assert await replayed(shop, channel, since=since, include_delivered=True) == 0
