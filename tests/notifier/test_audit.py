"""The audit trail, through the doors of the assembled notifier: recorded, searched, exported, verified and streamed."""

import asyncio
import json
import re
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy as sa

from services.cli.audit import verify_trail
from tests.notifier.premises import opened
from tests.notifier.workshop import SIGNING_SECRET
from tests.servers.processes import free_port
from tests.servers.tls import LOOPBACK, CertificateAuthority
from tests.servers.webhook import Webhook

EVERLEAF = Path(sys.executable).parent / "everleaf"


def hook(name: str) -> dict[str, Any]:
    """Return the body that makes a channel to where nothing listens."""
    options = {"url": "http://127.0.0.1:1/hook"}
    return {
        "name": name,
        "kind": "webhook",
        "options": options,
        "secrets": {"signing_secret": SIGNING_SECRET},
    }


async def test_a_change_through_the_api_is_found_with_who_made_it_and_what_was_before(tmp_path: Path):
    async with opened(tmp_path) as notifier:
        made = await notifier.ask("POST", "/v1/channels", hook("one"))
        headers = {"User-Agent": "portal/3", "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
        secret = {"signing_secret": "whsec_" + "b" * 32}
        change = {"name": "two", "secrets": secret}
        await notifier.ask("PATCH", f"/v1/channels/{made['id']}", change, headers=headers)
        changed, created = await notifier.until("/v1/audit", 2, object_id=made["id"])
    assert (created["action"], created["source"], created["sequence"]) == ("channel.created", "notifier", 1)
    assert (changed["actor_id"], changed["actor_name"]) == ("ann", "ann")
    assert changed["before"] == {"name": "one", "secrets": "(secret)"}
    assert changed["after"] == {"name": "two", "secrets": "(changed)"}
    assert (changed["operation"], changed["agent"]) == (f"PATCH /v1/channels/{made['id']}", "portal/3")
    assert (changed["address"], changed["trace_id"]) == ("127.0.0.1", "ab" * 16)
    assert changed["previous"] == created["digest"]
    assert secret["signing_secret"] not in json.dumps([created, changed])


async def test_a_process_that_ends_before_it_has_told_loses_no_entry(tmp_path: Path):
    async with opened(tmp_path, at_work=False) as notifier:
        made = await notifier.ask("POST", "/v1/channels", hook("one"))
        assert (await notifier.ask("GET", "/v1/audit"))["items"] == []
    async with opened(tmp_path) as notifier:
        [entry] = await notifier.until("/v1/audit", 1)
        assert (entry["object_id"], entry["actor_id"]) == (made["id"], "ann")
        [source] = (await notifier.ask("GET", "/v1/audit/sources"))["items"]
        assert source == {"source": "notifier", "entries": 1, "missing": 0}


async def test_what_cannot_be_recorded_does_not_happen(tmp_path: Path):
    async with opened(tmp_path) as notifier:
        store = notifier.service.database
        full = "CREATE TRIGGER full BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'no room'); END"
        async with store.transaction() as tx:
            await tx.session.execute(sa.text(full))
        refused = await notifier.client.post("/v1/channels", json=hook("unrecorded"))
        assert refused.is_server_error
        assert (await notifier.ask("GET", "/v1/channels"))["items"] == []
        async with store.transaction() as tx:
            await tx.session.execute(sa.text("DROP TRIGGER full"))
        made = await notifier.ask("POST", "/v1/channels", hook("recorded"))
        [entry] = await notifier.until("/v1/audit", 1)
    assert (entry["object_id"], entry["sequence"]) == (made["id"], 1), "no number was taken"


async def test_what_is_exported_is_verified_offline_with_the_published_keys(tmp_path: Path):
    async with opened(tmp_path) as notifier:
        for number in range(3):
            await notifier.ask("POST", "/v1/channels", hook(f"channel {number}"))
        [checkpoint] = await notifier.until("/v1/audit/checkpoints", 1)
        await notifier.until("/v1/audit", 3)
        trail, keys = tmp_path / "trail.jsonl", tmp_path / "keys.json"
        trail.write_bytes((await notifier.client.get("/v1/audit/export")).content)
        keys.write_bytes((await notifier.client.get("/v1/audit-keys", headers={"Authorization": ""})).content)
    assert (checkpoint["number"], checkpoint["first"], checkpoint["is_let_go"]) == (1, 1, False)
    assert "whole and unchanged: 3 entries up to number 3" in verify_trail(trail, [keys])
    trail.write_bytes(trail.read_bytes().replace(b"channel 1", b"channel 9"))
    command: list[str | Path] = [EVERLEAF, "audit", "verify", trail, "--keys", keys]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "does not follow the one before" in done.stderr
    assert "changed, moved, added or taken away" in done.stderr


# Streams


class Siem:
    """A receiver of syslog over TLS, that takes messages as RFC 5425 frames them."""

    def __init__(self) -> None:
        self.port = free_port()
        self.messages: list[str] = []

    @asynccontextmanager
    async def listening(self, context: ssl.SSLContext) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._take, "127.0.0.1", self.port, ssl=context)
        async with server:
            yield

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while length := await self._length(reader):
            self.messages.append((await reader.readexactly(length)).decode())
        writer.close()

    async def _length(self, reader: asyncio.StreamReader) -> int:
        """Return the length of the next message; 0 where the sender has ended, between two messages."""
        try:
            return int(await reader.readuntil(b" "))
        except asyncio.IncompleteReadError as end:
            return int(end.partial or 0)

    async def received(self, count: int) -> list[str]:
        with anyio.fail_after(60):
            while len(self.messages) < count:
                await anyio.sleep(0.01)
        return self.messages


@pytest.mark.parametrize("form", ["syslog", "cef", "ocsf"])
async def test_the_trail_streams_to_a_siem_as_it_grows_and_loses_nothing_while_that_is_away(
    tmp_path: Path, lab_ca: CertificateAuthority, form: str
):
    siem = Siem()
    context = lab_ca.issue(*LOOPBACK).server_context(tmp_path)
    syslog = {"host": "localhost", "port": siem.port, "format": form, "ca_pem": lab_ca.pem.decode()}
    async with opened(tmp_path) as notifier:
        stream = {"name": "SIEM", "way": "syslog", "syslog": syslog}
        made = await notifier.ask("POST", "/v1/audit-streams", stream)
        await notifier.ask("POST", "/v1/channels", hook('a "quoted] name'))
        with anyio.fail_after(60):
            while not (await notifier.ask("GET", "/v1/audit-streams"))["items"][0]["failures"]:
                await anyio.sleep(0.01)
        async with siem.listening(context):
            messages = await siem.received(2)
    assert made["credential"] == {}
    told = messages[1]
    assert re.match(r"<110>1 \d{4}-\d\d-\d\dT[\d:.]+Z \S+ everleaf - channel\.created ", told), told
    if form == "syslog":
        assert '[audit@32473 number="2" source="notifier" actor="ann"' in told
        assert 'objectName="a \\"quoted\\] name"' in told
    if form == "cef":
        assert "CEF:0|Everleaf|Everleaf|1|channel.created|" in told
        assert " suid=ann " in told
    if form == "ocsf":
        event = json.loads(told[told.index("{") :])
        assert (event["class_uid"], event["activity_id"], event["type_uid"]) == (3004, 1, 300401)
        assert event["actor"]["user"]["uid"] == "ann"
        assert (event["entity"]["type"], event["entity"]["name"]) == ("channel", 'a "quoted] name')


async def test_the_trail_streams_from_its_beginning_in_signed_messages(tmp_path: Path, webhook: Webhook):
    async with opened(tmp_path) as notifier:
        await notifier.ask("POST", "/v1/channels", hook("one"))
        await notifier.until("/v1/audit", 1)
        body = {"name": "S", "way": "webhook", "from_beginning": True, "webhook": {"url": webhook.url}}
        made = await notifier.ask("POST", "/v1/audit-streams", body)
        requests = await webhook.received(2)
        await notifier.ask("DELETE", f"/v1/audit-streams/{made['id']}")
        assert (await notifier.ask("GET", "/v1/audit-streams"))["items"] == []
    assert made["credential"]["signing_secret"].startswith("whsec_")
    entries = [json.loads(request.body) for request in requests[:2]]
    assert [entry["number"] for entry in entries] == [1, 2]
    assert [entry["action"] for entry in entries] == ["channel.created", "subscription.created"]
