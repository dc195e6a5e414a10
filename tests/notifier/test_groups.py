"""Who is told goes by the groups of what has gone wrong, also where these are told after it."""

from datetime import timedelta

from pydantic import SecretStr

from services.notifier import store
from services.notifier.actions.channels import NewChannel
from shared.access import Principal
from shared.events.discovery import SourceFailed
from shared.events.inventory import LineagesGrouped
from tests.notifier.workshop import CALLER, NOON, SIGNING_SECRET, Workshop, expiring

ADA = Principal(id="ada", name="Ada", groups=frozenset({"web"}))


async def _channel(shop: Workshop, name: str, *groups: str) -> store.Channel:
    new = NewChannel(
        name=name,
        kind="webhook",
        options={"url": "https://hooks.example.test/"},
        secrets={"signing_secret": SecretStr(SIGNING_SECRET)},
        enabled=True,
        groups=groups,
    )
    return await shop.channels.create(new, caller=CALLER, now=shop.clock())


async def _told(shop: Workshop) -> list[str]:
    names = {row.id: row.name for row in await shop.channels.page(after=None, limit=100, caller=CALLER)}
    rows = await shop.deliveries.page(only={}, after=None, limit=100, caller=CALLER)
    return sorted(names[row.channel_id] for row in rows)


async def test_a_channel_is_told_of_an_alert_whose_lineage_comes_into_its_group_right_after(
    shop: Workshop,
) -> None:
    for name in ("web", "mail"):
        await _channel(shop, name, name)
    await _channel(shop, "all")
    await shop.hear(expiring())
    assert await _told(shop) == ["all"]
    joined = LineagesGrouped(group_id="web", joined=["lineage-1"])
    await shop.hear(joined, joined)
    assert await _told(shop) == ["all", "web"]
    shop.clock.passes(timedelta(hours=1))
    await shop.hear(LineagesGrouped(group_id="mail", joined=["lineage-1"]))
    assert await _told(shop) == ["all", "web"]


async def test_an_alert_about_a_source_is_in_its_groups_and_one_about_a_channel_in_the_channels(
    shop: Workshop,
) -> None:
    dead = await _channel(shop, "web", "web")
    failed = SourceFailed(
        source_id="s",
        run_id="r",
        name="web-1",
        kind="linux-ssh",
        reason="it does not answer",
        next_step="Wait.",
        failed_at=NOON,
        groups=["web"],
    )
    await shop.hear(failed, failed.model_copy(update={"source_id": "t", "groups": ["mail"]}))
    assert [row.subject for row in await shop.alerts.page(only={}, after=None, limit=9, caller=ADA)] == [
        "source/s"
    ]
    assert await shop.work()  # nobody is at that address
    shop.clock.passes(timedelta(hours=1))
    assert await shop.work()
    seen = {row.subject for row in await shop.alerts.page(only={}, after=None, limit=9, caller=ADA)}
    assert seen == {"source/s", f"channel/{dead.id}"}
