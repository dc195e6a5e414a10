"""Very many alerts at once, and channels that are away: a digest and no flood, nothing lost, nothing doubled."""

from collections import Counter
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from services.notifier import store
from shared.events.inventory import Contact, Owner, Urgency
from tests.notifier.workshop import CALLER, NOON, WAITS, Workshop, expiring, replaced
from tests.servers.smtp import Smtp
from tests.servers.webhook import Webhook


async def tally(shop: Workshop) -> dict[str, Counter[str]]:
    """Return how many alerts were told, or are on their way, by channel and state; digests aside."""
    query = (
        sa.select(store.Channel.name, store.Delivery.state, sa.func.count())  # type: ignore[call-overload] # columns of SQLModel
        .join(store.Channel, store.Channel.id == store.Delivery.channel_id)
        .where(store.Delivery.alert_id.is_not(None))  # type: ignore[union-attr] # a column
        .group_by(store.Channel.name, store.Delivery.state)
    )
    found: dict[str, Counter[str]] = {}
    async with shop.database.read() as session:
        for name, state, count in (await session.execute(query)).all():
            found.setdefault(name, Counter())[state] = count
    return found


WINDOW = timedelta(minutes=2)
TWO_ALONE: dict[str, Any] = {"burst": 2, "window": "PT2M"}
"""Two notices go out alone within two minutes."""


async def test_a_flood_becomes_a_few_mails_and_one_digest_while_machines_get_each(
    shop: Workshop, smtp: Smtp, webhook: Webhook
) -> None:
    await shop.email(smtp, **TWO_ALONE)
    await shop.webhook(webhook)
    await shop.hear(
        *(
            expiring(
                Urgency.CRITICAL if number == 5 else Urgency.WARNING,
                lineage_id=f"lineage-{number}",
                names=[f"host-{number}.example.test"],
                not_after=NOON + timedelta(days=3, minutes=number),
            )
            for number in range(8)
        )
    )
    await shop.tick()
    assert len(smtp.inbox) == 2
    assert len(webhook.requests) == 8
    shop.clock.passes(WINDOW)
    await shop.tick()
    [digest] = smtp.inbox[2:]
    assert digest.message["subject"] == "[Everleaf] CRITICAL: 6 alerts"
    text = digest.message.get_body(("plain",)).get_content()  # type: ignore[union-attr] # it has one
    assert "1 critical" in text
    assert "5 warning" in text
    assert text.index("host-5") < text.index("host-2"), "the worst first"
    assert "https://portal.test/alerts?state=open" in text
    assert await tally(shop) == {"mail": Counter(delivered=8), "hook": Counter(delivered=8)}
    shop.clock.passes(WINDOW)
    await shop.tick()
    assert len(smtp.inbox) == 3
    await smtp.quiet()


async def test_a_mail_server_that_is_away_for_hours_costs_nothing_and_holds_up_nobody(
    small_shop: Workshop, smtp: Smtp, webhook: Webhook
) -> None:
    mail = await small_shop.email(smtp, **TWO_ALONE)
    await small_shop.webhook(webhook)
    await small_shop.drop_default_rule()
    await small_shop.rule(problems=["expiring"])
    smtp.stop()
    for hour in range(3):
        await small_shop.hear(*(expiring(lineage_id=f"lineage-{hour}-{number}") for number in range(5)))
        await small_shop.tick()
        assert (await tally(small_shop))["hook"] == Counter(delivered=(hour + 1) * 5), "nobody waits"
        small_shop.clock.passes(WINDOW)
        await small_shop.tick()
        small_shop.clock.passes(timedelta(hours=1))
        await small_shop.tick()
    smtp.start()
    # What was given up within the short schedule of this test is put back on its way by somebody.
    only = {"state": "failed", "channel_id": mail.id}
    for row in await small_shop.deliveries.page(only=only, after=None, limit=100, caller=CALLER):
        if row.digest_id is None:
            await small_shop.deliveries.retry(row.id, caller=CALLER, now=small_shop.clock.now)
    for _ in WAITS:
        small_shop.clock.passes(max(WAITS) * 1.2)
        await small_shop.tick()
    assert await tally(small_shop) == {"mail": Counter(delivered=15), "hook": Counter(delivered=15)}
    identities = [mail.message["message-id"] for mail in smtp.inbox]
    assert len(set(identities)) == len(identities), "nothing twice"
    digests = [mail for mail in smtp.inbox if " alerts" in mail.message["subject"]]
    gathered = sum(int(mail.message["subject"].split()[2]) for mail in digests)
    assert len(digests) == 3
    assert len(smtp.inbox) - len(digests) + gathered == 15, "nothing lost"
    await smtp.quiet()


async def test_a_daily_digest_gathers_a_day_for_each_audience(small_shop: Workshop, smtp: Smtp) -> None:
    await small_shop.drop_default_rule()
    channel = await small_shop.email(smtp)
    await small_shop.rule(channels=[channel.id], plan={"digest_every": "P1D", "address": "owner"})
    owner = Owner(id="payments", name="Payments", contacts=[Contact(kind="email", value="pay@example.test")])
    for number in range(6):
        its = owner if number % 2 else None
        await small_shop.hear(expiring(lineage_id=f"lineage-{number}", owner=its))
        await small_shop.tick()
        small_shop.clock.passes(timedelta(hours=1))
    await small_shop.hear(replaced(lineage_id="lineage-0", at=small_shop.clock.now))
    assert smtp.inbox == []
    small_shop.clock.passes(timedelta(hours=6))
    await small_shop.tick()
    assert {mail.recipients: mail.message["subject"] for mail in smtp.inbox} == {
        ("operators@example.test",): "[Everleaf] WARNING: 2 alerts",
        ("pay@example.test",): "[Everleaf] WARNING: 3 alerts",
    }
    await smtp.quiet()


async def test_a_digest_of_one_is_that_one(small_shop: Workshop, smtp: Smtp) -> None:
    await small_shop.drop_default_rule()
    channel = await small_shop.email(smtp)
    await small_shop.rule(channels=[channel.id], plan={"digest_every": "PT1H"})
    await small_shop.hear(expiring())
    small_shop.clock.passes(timedelta(hours=1))
    await small_shop.tick()
    assert [mail.message["subject"] for mail in smtp.inbox] == [
        "[Everleaf] WARNING: www.example.test expires in 3 days"
    ]
    await smtp.quiet()


async def test_what_was_gathered_fails_with_its_digest_and_is_told_with_it_when_that_is_tried_again(
    small_shop: Workshop, smtp: Smtp
) -> None:
    await small_shop.drop_default_rule()
    channel = await small_shop.email(smtp)
    smtp.refuse("operators@example.test")
    await small_shop.rule(channels=[channel.id], problems=["expiring"], plan={"digest_every": "PT1H"})
    await small_shop.hear(expiring(), expiring(lineage_id="lineage-2"))
    small_shop.clock.passes(timedelta(hours=1))
    await small_shop.tick()
    assert (await tally(small_shop))["mail"] == Counter(failed=2)
    [whole] = [row for row in await all_deliveries(small_shop) if row.alert_id is None]
    assert whole.state == "failed"
    smtp.accept("operators@example.test")
    await small_shop.deliveries.retry(whole.id, caller=CALLER, now=small_shop.clock.now)
    await small_shop.tick()
    assert (await tally(small_shop))["mail"] == Counter(delivered=2)
    assert len(smtp.inbox) == 1
    await smtp.quiet()


async def all_deliveries(shop: Workshop) -> Any:
    """Return every delivery."""
    return await shop.deliveries.page(only={}, after=None, limit=1000, caller=CALLER)
