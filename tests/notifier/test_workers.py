"""The postman: one dead channel holds up nobody, and a restart loses nothing. The clerk: tickets are looked at."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio

from services.notifier.workers import Clerk, Postman
from shared.clock import utc_now
from shared.events.inventory import Urgency
from tests.notifier.workshop import CALLER, Workshop, expiring
from tests.servers.servicenow import PASSWORD, USER, ServiceNow
from tests.servers.tls import LOOPBACK, CertificateAuthority
from tests.servers.webhook import Answer, StartWebhook, Webhook


@asynccontextmanager
async def postman(shop: Workshop, *, parallel: int = 2) -> AsyncIterator[None]:
    """Let a postman work."""
    shop.reactor._clock = utc_now
    worker = Postman(shop.deliveries, clock=utc_now, parallel=parallel, every=timedelta(milliseconds=20))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        yield
        tasks.cancel_scope.cancel()


async def test_one_channel_that_hangs_holds_up_no_other(shop: Workshop, start_webhook: StartWebhook) -> None:
    hanging, alive = start_webhook(), start_webhook()
    hanging.default = Answer(delay=timedelta(seconds=60))
    await shop.webhook(hanging, "hanging")
    await shop.webhook(alive, "alive")
    await shop.hear(*(expiring(lineage_id=f"lineage-{number}") for number in range(20)))
    async with postman(shop):
        requests = await alive.received(20, within=60)
    assert len({request.headers["webhook-id"] for request in requests}) == 20
    assert len(hanging.requests) <= 2, "no more at a time than it is allowed"


async def test_what_was_under_way_when_the_process_ended_goes_out_after_a_restart(
    small_shop: Workshop, webhook: Webhook
) -> None:
    webhook.answer(Answer(delay=timedelta(seconds=60)))
    await small_shop.webhook(webhook)
    await small_shop.hear(expiring())
    async with postman(small_shop):
        await webhook.received(1)
    assert await small_shop.states() == {"hook": [(1, "pending")]}
    async with postman(small_shop):
        first, second = await webhook.received(2)
        while (await small_shop.states())["hook"] != [(1, "delivered")]:
            await anyio.sleep(0.01)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


async def test_many_turns_of_many_alerts_arrive_each_once_and_in_order(
    shop: Workshop, webhook: Webhook
) -> None:
    await shop.webhook(webhook)
    lineages = [f"lineage-{number}" for number in range(10)]
    async with postman(shop, parallel=4):
        for urgency in (Urgency.WARNING, Urgency.ERROR, Urgency.CRITICAL):
            await shop.hear(*(expiring(urgency, lineage_id=lineage) for lineage in lineages))
        await webhook.received(30)
        await anyio.sleep(0.1)
    assert len({request.headers["webhook-id"] for request in webhook.requests}) == 30
    assert len(webhook.requests) == 30


async def test_what_was_claimed_with_a_delivery_that_fails_is_not_tried_and_its_attempt_not_counted(
    small_shop: Workshop, webhook: Webhook
) -> None:
    await small_shop.webhook(webhook)
    await small_shop.hear(*(expiring(lineage_id=f"lineage-{number}") for number in range(120)))
    webhook.answer(*[Answer()] * 60)
    webhook.default = Answer(status=429, headers={"retry-after": "3600"})
    async with postman(small_shop, parallel=4):
        await webhook.received(61)
        with anyio.fail_after(60):
            while await leased(small_shop):
                await anyio.sleep(0.01)
    assert len(webhook.requests) <= 64, "those that were under way with it, and no more"
    rows = await small_shop.deliveries.page(only={}, after=None, limit=200, caller=CALLER)
    assert sorted(row.attempts for row in rows).count(0) == 120 - len(webhook.requests)
    assert [row.state for row in rows].count("delivered") == 60


async def leased(shop: Workshop) -> list[str]:
    """Return the deliveries that somebody is at."""
    rows = await shop.deliveries.page(only={}, after=None, limit=200, caller=CALLER)
    return [row.id for row in rows if row.lease_until is not None]


async def test_what_has_waited_for_its_turn_for_too_long_goes_back(
    small_shop: Workshop, webhook: Webhook
) -> None:
    await small_shop.webhook(webhook)
    await small_shop.hear(expiring())
    job = await small_shop.claim()
    assert not small_shop.deliveries.is_late(job, now=small_shop.clock())
    small_shop.clock.passes(timedelta(seconds=23))
    assert small_shop.deliveries.is_late(job, now=small_shop.clock()), "a quarter of 90 s is over"
    await small_shop.record(job, None)
    again = await small_shop.claim()
    assert (again.delivery_id, again.attempts) == (job.delivery_id, job.attempts)


async def test_the_clerk_looks_at_tickets_and_lives_through_what_is_away(
    small_shop: Workshop, tmp_path: Path, lab_ca: CertificateAuthority
) -> None:
    server = ServiceNow(lab_ca.issue(*LOOPBACK).server_context(tmp_path / "servicenow"))
    server.start()
    options = {"url": server.url, "username": USER, "ca_pem": lab_ca.pem.decode()}
    await small_shop.channel("desk", "servicenow-incident", options, secrets={"password": PASSWORD})
    await small_shop.hear(expiring())
    await small_shop.work()
    small_shop.tickets._every = timedelta(milliseconds=20)
    clerk = Clerk(small_shop.tickets, clock=utc_now, every=timedelta(milliseconds=20))
    async with anyio.create_task_group() as tasks:
        server.stop()
        tasks.start_soon(clerk.run)
        await anyio.sleep(0.05)
        server.start()
        server.tables["incident"][0]["state"] = "7"
        with anyio.fail_after(60):
            while [ticket.state for ticket in await small_shop.tickets_kept()] != ["closed"]:
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    server.stop()
