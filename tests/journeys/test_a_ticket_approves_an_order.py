"""Renewal and the notifier in two processes, RabbitMQ between them: an order waits, a ticket system is told and answers."""

import base64
import json
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shared.clock import utc_now
from shared.webhooks import signed
from tests.builders import SIGNING_KEY, bearer
from tests.journeys.platforms import Json, accepted, until
from tests.servers.processes import Process, free_port
from tests.servers.rabbitmq import Vhost
from tests.servers.webhook import Webhook

REPOSITORY = Path(__file__).parents[2]
BEN = bearer("admin", name="ben")


@pytest.fixture
def clients(vhost: Vhost, tmp_path: Path) -> Iterator[dict[str, httpx.Client]]:
    """Both services, asked by Ben."""
    environ = {
        **os.environ,
        "BUS": vhost.url,
        "SIGNING_KEY": SIGNING_KEY.private.private_bytes_raw().hex(),
        "PYTHONPATH": str(REPOSITORY),
    }
    ports = {name: free_port() for name in ("renewal", "notifier")}
    processes = []
    for name, port in ports.items():
        folder = tmp_path / name
        folder.mkdir()
        command = [sys.executable, "-m", "tests.journeys.alone", name, str(folder), str(port)]
        processes.append(Process(command, log=tmp_path / f"{name}.log", env=environ))
    opened = {
        name: httpx.Client(base_url=f"http://127.0.0.1:{port}/{name}", headers=BEN, timeout=30)
        for name, port in ports.items()
    }
    try:
        for process, port in zip(processes, ports.values(), strict=True):
            process.wait_port(port)
        yield opened
    finally:
        for client in opened.values():
            client.close()
        for process in processes:
            process.stop()


def test_an_order_goes_on_when_the_ticket_is_approved(
    clients: dict[str, httpx.Client], webhook: Webhook
) -> None:
    renewal, notifier = clients["renewal"], clients["notifier"]
    key = secrets.token_bytes(32)
    secret = "whsec_" + base64.b64encode(key).decode()
    accepted(
        notifier.post(
            "/v1/channels",
            json={
                "name": "tickets",
                "kind": "webhook",
                "options": {"url": webhook.url},
                "secrets": {"signing_secret": secret},
            },
        )
    )
    approvers = [
        {"external": "ann@example.test", "principal": "ann"},
        {"external": "ben@example.test", "principal": "ben"},
    ]
    hook = accepted(
        notifier.post(
            "/v1/approval-hooks",
            json={"name": "service desk", "signing_secret": secret, "approvers": approvers},
        )
    )["id"]
    accepted(renewal.post("/v1/authorities", json={"name": "house-ca", "kind": "builtin"}))
    profile = {
        "name": "guarded",
        "authority": "house-ca",
        "allowed_names": ["*.example.test"],
        "approvals_needed": 1,
    }
    accepted(renewal.post("/v1/profiles", json=profile))
    order = accepted(renewal.post("/v1/orders", json={"names": ["shop.example.test"], "profile": "guarded"}))

    def told() -> Json | None:
        messages = [json.loads(each.body) for each in webhook.requests]
        return next((each["data"] for each in messages if each["type"] == "alert.opened"), None)

    ticket = until(told, what="the ticket system is told")
    assert "shop.example.test" in ticket["summary"]

    def answer(who: str, number: str) -> httpx.Response:
        data = {
            "approval_id": ticket["approval_id"],
            "digest": ticket["digest"],
            "decided_by": who,
            "reason": "CHG0042",
        }
        content = json.dumps({"type": "approval.granted", "data": data}).encode()
        headers = signed(content, message_id=number, key=key, now=utc_now())
        headers["Content-Type"] = "application/json"
        return notifier.post(f"/v1/approval-hooks/{hook}/decisions", content=content, headers=headers)

    # Ben has ordered it himself: what he says in a ticket does not count either.
    accepted(answer("ben@example.test", "msg_1"))
    path = f"/v1/approvals/{ticket['approval_id']}"
    [refused] = until(lambda: accepted(renewal.get(path))["decisions"], what="his word is on record")
    assert (refused["is_counted"], refused["objection"]) == (
        False,
        "Whoever asks for it does not approve it.",
    )
    assert accepted(renewal.get(f"/v1/orders/{order['id']}"))["state"] == "awaiting_approval"

    accepted(answer("ann@example.test", "msg_2"))
    until(
        lambda: accepted(renewal.get(f"/v1/orders/{order['id']}"))["state"] == "renewed",
        what="the order goes on",
    )
    report = accepted(renewal.get(path))
    assert (report["state"], report["reason"]) == ("granted", "Approved by ann@example.test.")
    assert report["decisions"][-1]["means"] == "event: service desk"
    until(
        lambda: any(json.loads(each.body)["type"] == "alert.resolved" for each in webhook.requests),
        what="the ticket system is told that it is over",
    )
