"""The notifier's tables, on both databases."""

import anyio
import pytest
import sqlalchemy as sa

from services.notifier import store
from services.notifier.service import SCHEMA
from shared.events.inventory import Urgency
from tests.notifier.workshop import CALLER, NOON, Workshop, expiring
from tests.servers.webhook import Webhook


async def test_the_migrations_make_what_the_code_expects(shop: Workshop) -> None:
    assert await SCHEMA.differences(shop.database) == []


async def test_there_is_a_first_rule_that_tells_every_channel_from_warning_up(shop: Workshop) -> None:
    (rule,) = await shop.rules.page(after=None, limit=10, caller=CALLER)
    assert (rule.name, rule.min_severity, rule.problems, rule.channels) == ("default", "warning", [], None)


async def test_the_database_refuses_a_second_open_alert_of_the_same_problem(shop: Workshop) -> None:
    await shop.hear(expiring())
    alert = await shop.alert()
    with pytest.raises(sa.exc.IntegrityError):
        async with shop.database.transaction() as tx:
            tx.session.add(store.Alert(**{**alert.model_dump(), "id": "another"}))


async def test_two_at_once_open_one_alert_and_deliver_once(shop: Workshop, webhook: Webhook) -> None:
    await shop.webhook(webhook)
    async with anyio.create_task_group() as tasks:
        for urgency in (Urgency.WARNING, Urgency.ERROR, Urgency.CRITICAL, Urgency.EXPIRED) * 2:
            tasks.start_soon(shop.hear, expiring(urgency))
    alert = await shop.alert()
    assert alert.severity == "critical"
    turns = [entry.turn for entry in (await shop.alerts.get(alert.id, caller=CALLER)).history]
    assert turns[0] == "opened"
    assert set(turns[1:]) <= {"raised"}
    states = await shop.states()
    assert len(states["hook"]) == len(turns)


async def test_a_delivery_is_claimed_once_by_however_many_ask(shop: Workshop, webhook: Webhook) -> None:
    await shop.webhook(webhook)
    await shop.hear(*(expiring(lineage_id=f"lineage-{number}") for number in range(4)))
    claimed: list[str] = []

    async def claim() -> None:
        while jobs := await shop.deliveries.claim(busy=[], now=NOON):
            claimed.extend(job.delivery_id for job in jobs)

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(claim)
    assert len(claimed) == len(set(claimed)) == 4


async def test_pages_follow_one_another_without_gap_or_repetition(shop: Workshop) -> None:
    await shop.hear(*(expiring(lineage_id=f"lineage-{number}") for number in range(7)))
    seen: list[str] = []
    after = None
    while rows := (await shop.alerts.page(only={}, after=after, limit=3, caller=CALLER))[:3]:
        seen += [row.id for row in rows]
        after = rows[-1].id
    assert len(seen) == len(set(seen)) == 7
    assert seen == sorted(seen, reverse=True)
