"""Consumers' subscriptions on the assembled notifier: by asking, by signed requests, and in a queue of a real RabbitMQ."""

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aio_pika
import anyio
import pytest
from aiormq.exceptions import AMQPError, ChannelAccessRefused
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import SecretStr

from services.consumers import example
from services.notifier.domain.subscriptions import CONSUMABLE, is_about
from shared.bus.rabbitmq import RabbitBus
from shared.clock import utc_now
from shared.events.inventory import CertificateStale, LineagesGrouped
from shared.events.renewal import CertificateRenewed, RenewalFailed
from shared.ids import new_id
from shared.webhooks import key_of, verified
from tests.architecture.tree import ROOT
from tests.notifier.premises import Premises, opened
from tests.servers.rabbitmq import RabbitMQ, Vhost
from tests.servers.webhook import Answer, Webhook


def failed(lineage_id: str = "l1", **other: Any) -> RenewalFailed:
    """Return an event."""
    values = {
        "lineage_id": lineage_id,
        "order_id": new_id(),
        "fingerprint": None,
        "names": ["www.example.com"],
        "reason": "away",
        "next_step": "Wait.",
        "attempt": 1,
        "next_attempt_at": None,
    }
    return RenewalFailed(**{**values, **other})


async def subscribe(notifier: Premises, way: str = "poll", **other: Any) -> dict[str, Any]:
    body = {"name": f"consumer {new_id()}", "way": way, **other}
    made: dict[str, Any] = await notifier.ask("POST", "/v1/subscriptions", body)
    return made


async def read(notifier: Premises, id_: str, *, wait: float = 10, **query: Any) -> tuple[list[str], int]:
    """Return the ids of the events that come next, and where to go on."""
    query = {"wait": wait, **query}
    answer = await notifier.ask("GET", f"/v1/subscriptions/{id_}/events", params=query)
    return [event["id"] for event in answer["items"]], answer["after"]


async def test_who_asks_gets_what_it_wants_in_order_and_waits_for_what_comes(tmp_path: Path):
    async with opened(tmp_path) as notifier:
        await notifier.say(failed())
        await notifier.until("/v1/alerts", 1)
        of_it = await subscribe(notifier, types=["renewal.failed"], names=["*.example.com"])
        assert await read(notifier, of_it["id"], wait=0) == ([], of_it["position"])
        one, _other, _elsewhere, two = await notifier.say(
            failed("l2"),
            LineagesGrouped(group_id="web", joined=["l2"]),
            failed("l3", names=["www.example.net"]),
            failed("l4"),
        )
        ids: list[str] = []
        after = None
        while len(ids) < 2:
            more, after = await read(notifier, of_it["id"], **({"after": after} if after else {}))
            ids += more
        assert ids == [one, two]
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                assert (await read(notifier, of_it["id"], after=after))[0] == [three]

            tasks.start_soon(ask)
            [three] = await notifier.say(failed("l5"))


async def test_what_was_kept_is_played_again_from_an_instant(tmp_path: Path):
    async with opened(tmp_path) as notifier:
        before = await notifier.say(failed("l1"))
        await notifier.until("/v1/alerts", 1)
        since = utc_now()
        after = await notifier.say(failed("l2"), failed("l3"))
        await notifier.until("/v1/alerts", 3)
        made = await subscribe(notifier, types=["renewal.failed"])
        path = f"/v1/subscriptions/{made['id']}/replay"
        await notifier.ask("POST", path, {"since": since.isoformat()})
        assert (await read(notifier, made["id"]))[0] == after
        await notifier.ask("POST", path, {"since": (since - timedelta(days=1)).isoformat()})
        assert (await read(notifier, made["id"]))[0] == before + after


async def test_a_subscription_of_a_group_is_told_of_nothing_else(tmp_path: Path):
    async with opened(tmp_path) as notifier:
        made = await subscribe(notifier, groups=["web"], types=["renewal.failed", "certificate.stale"])
        stale = CertificateStale.model_validate(example(CertificateStale).data.model_dump())
        by_lineage, _nobodys, by_groups, _others, _joined = await notifier.say(
            stale.model_copy(update={"lineage_id": "l1"}),
            failed("l9"),
            failed("l2", groups=["web"]),
            failed("l3", groups=["db"]),
            LineagesGrouped(group_id="web", joined=["l1"]),
        )
        await notifier.say(LineagesGrouped(group_id="db", joined=["l9", "l2", "l3"]))
        ids: list[str] = []
        after = made["position"]
        with anyio.fail_after(60):
            while len(ids) < 2:
                more, after = await read(notifier, made["id"], after=after)
                ids += more
        assert ids == [by_lineage, by_groups]


async def test_a_webhook_gets_signed_events_in_order_and_those_it_missed(tmp_path: Path, webhook: Webhook):
    async with opened(tmp_path) as notifier:
        made = await subscribe(notifier, "webhook", webhook={"url": webhook.url}, types=["renewal.failed"])
        webhook.answer(Answer(status=500), Answer(status=200), Answer(status=503))
        ids = await notifier.say(failed("l1"), failed("l2"), failed("l3"))
        requests = await webhook.received(5, within=60)
        key = key_of(SecretStr(made["credential"]["signing_secret"]))
        seen = [verified(each.body, each.headers, key=key, now=utc_now()) for each in requests]
        assert list(dict.fromkeys(seen)) == ids
        assert [json.loads(each.body)["id"] for each in requests] == seen
        assert requests[0].headers["content-type"] == "application/cloudevents+json"
        shown = await notifier.ask("GET", f"/v1/subscriptions/{made['id']}")
        assert "signing_secret" not in json.dumps(shown)


async def test_a_webhook_may_check_with_a_public_key_and_end_it(tmp_path: Path, webhook: Webhook):
    async with opened(tmp_path) as notifier:
        where = {"url": webhook.url, "signature": "ed25519"}
        made = await subscribe(notifier, "webhook", webhook=where, types=["renewal.failed"])
        webhook.answer(Answer(status=410))
        await notifier.say(failed("l1"))
        [request] = await webhook.received(1)
        public = base64.b64decode(made["credential"]["public_key"].removeprefix("whpk_"))
        headers = request.headers
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
        signature = base64.b64decode(headers["webhook-signature"].removeprefix("v1a,"))
        Ed25519PublicKey.from_public_bytes(public).verify(signature, signed)
        with anyio.fail_after(60):
            while (await notifier.ask("GET", f"/v1/subscriptions/{made['id']}"))["state"] != "ended":
                await anyio.sleep(0.01)


async def test_a_restart_goes_on_where_it_was(tmp_path: Path, webhook: Webhook):
    webhook.default = Answer(status=503)
    async with opened(tmp_path) as notifier:
        await subscribe(notifier, "webhook", webhook={"url": webhook.url}, types=["renewal.failed"])
        ids = await notifier.say(failed("l1"), failed("l2"))
        await webhook.received(1)
    webhook.default = Answer()
    refused = len(webhook.requests)
    async with opened(tmp_path):
        requests = await webhook.received(refused + 2, within=60)
    assert [json.loads(each.body)["id"] for each in requests[refused:]] == ids


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"way": "poll", "types": ["certificate.found"]}, "/body/types"),
        ({"way": "queue"}, "/body/way"),
        ({"way": "webhook"}, "/body"),
        ({"way": "webhook", "webhook": {"url": "http://example.com/"}}, "/body/webhook/url"),
    ],
)
async def test_what_cannot_be_subscribed_to_is_said(tmp_path: Path, body: dict[str, Any], pointer: str):
    async with opened(tmp_path, at_work=False) as notifier:
        answer = await notifier.client.post("/v1/subscriptions", json={"name": "n", **body})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == pointer


def test_names_are_fitted_whole_or_below_one():
    assert is_about([], {})
    assert is_about(["WWW.example.com"], {"names": ["www.example.com"]})
    assert is_about(["*.example.com"], {"names": ["a.b.example.com"]})
    assert not is_about(["*.example.com"], {"names": ["example.com", "www.badexample.com"]})
    assert not is_about(["example.com"], {})


@pytest.mark.parametrize("payload", CONSUMABLE, ids=lambda payload: payload.type)
def test_what_the_contract_shows_of_an_event_is_one(payload: type[Any]):
    event = example(payload)
    assert payload.model_validate_json(event.data.model_dump_json()) == event.data


# RabbitMQ


@asynccontextmanager
async def on_rabbitmq(tmp_path: Path, broker: RabbitMQ, vhost: Vhost) -> AsyncIterator[Premises]:
    """Open a notifier on a real broker, with the management API."""
    broker.api("PUT", "users/everleaf-consumers", {"password": "managing", "tags": "administrator"})
    rights = {"configure": r"^everleaf\.consumer\.", "write": "", "read": ""}
    broker.api("PUT", f"permissions/{vhost.name}/everleaf-consumers", rights)
    environ = {
        "EVERLEAF_NOTIFIER_BROKER_API_URL": f"http://127.0.0.1:{broker.management}",
        "EVERLEAF_NOTIFIER_BROKER_API_USER": "everleaf-consumers",
        "EVERLEAF_NOTIFIER_BROKER_API_PASSWORD": "managing",
        "EVERLEAF_NOTIFIER_CONSUMER_URL": f"amqp://127.0.0.1:{vhost.port}/{vhost.name}",
    }
    bus = RabbitBus(vhost.url)
    try:
        async with opened(tmp_path, bus=bus, environ=environ) as notifier:
            yield notifier
    finally:
        await bus.close()


async def test_a_consumer_gets_a_queue_that_it_alone_may_read_and_may_do_nothing_else(
    tmp_path: Path, rabbitmq: RabbitMQ
):
    vhost = rabbitmq.vhost("consumers")
    async with on_rabbitmq(tmp_path, rabbitmq, vhost) as notifier:
        made = await subscribe(notifier, "queue", types=["certificate.renewed"])
        credential = made["credential"]
        renewed = CertificateRenewed.model_validate(example(CertificateRenewed).data.model_dump())
        ids = await notifier.say(renewed, failed("l1"), renewed)
        consumer = _run_the_sample(credential)
        try:
            assert consumer.stdout is not None
            with anyio.fail_after(30):
                printed = [await anyio.to_thread.run_sync(consumer.stdout.readline) for _ in ids[:2]]
        finally:
            consumer.kill()
            consumer.communicate()
        assert printed == [f"certificate.renewed {renewed.subject()}\n"] * 2
        await _may_do_nothing_else(credential, vhost)
        await notifier.ask("DELETE", f"/v1/subscriptions/{made['id']}")
        queue = f"queues/{vhost.name}/{credential['queue']}"
        assert rabbitmq.api("GET", queue).status_code == 404
        assert rabbitmq.api("GET", f"users/{credential['user']}").status_code == 404


def _run_the_sample(credential: dict[str, str]) -> "subprocess.Popen[str]":
    """Run the consumer that the documentation shows, as it stands there."""
    page = (ROOT / "docs/how-to/consume-events.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    environ = {**os.environ, **{name.upper(): value for name, value in credential.items()}}
    return subprocess.Popen([sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE, text=True)


async def _may_do_nothing_else(credential: dict[str, str], vhost: Vhost) -> None:
    url = f"amqp://{credential['user']}:{credential['password']}@127.0.0.1:{vhost.port}/{vhost.name}"
    connection = await aio_pika.connect(url)
    async with connection:
        for forbidden in ("notifier.events", "notifier.events.dead"):
            channel = await connection.channel()
            queue = await channel.get_queue(forbidden, ensure=False)
            with pytest.raises(ChannelAccessRefused):
                await queue.get(fail=False)
        channel = await connection.channel()
        with pytest.raises(ChannelAccessRefused):
            await channel.declare_queue("mine")
        channel = await connection.channel(publisher_confirms=True)
        exchange = await channel.get_exchange("everleaf.events", ensure=False)
        with pytest.raises(AMQPError):
            await exchange.publish(aio_pika.Message(b"{}"), "certificate.renewed")


async def test_a_queue_that_is_gone_holds_its_events_back_and_no_other_consumer(
    tmp_path: Path, rabbitmq: RabbitMQ, webhook: Webhook
):
    vhost = rabbitmq.vhost("gone")
    async with on_rabbitmq(tmp_path, rabbitmq, vhost) as notifier:
        made = await subscribe(notifier, "queue", types=["renewal.failed"])
        await subscribe(notifier, "webhook", webhook={"url": webhook.url}, types=["renewal.failed"])
        rabbitmq.api("DELETE", f"queues/{vhost.name}/{made['credential']['queue']}")
        [id_] = await notifier.say(failed("l1"))
        [request] = await webhook.received(1)
        assert json.loads(request.body)["id"] == id_
        with anyio.fail_after(60):
            while not (shown := await notifier.ask("GET", f"/v1/subscriptions/{made['id']}"))["failures"]:
                await anyio.sleep(0.05)
        assert shown["position"] == made["position"]
