"""The notifier in a process of its own: killed in the middle of changes, and with a bus that takes nothing for a while.

That RabbitMQ may die and come back without a loss is shown in `tests/conformance/test_bus.py`.
"""

import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from services.cli.audit import verify_trail
from tests.builders import SIGNING_KEY, bearer
from tests.journeys.platforms import Json, accepted
from tests.servers.processes import Process, free_port

REPOSITORY = Path(__file__).parents[2]
AT_ONCE, EACH = 3, 10
"""So many people make so many changes each, at the same time and without a pause."""


class Office:
    """The notifier's process, and people who make channels in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._port = folder, free_port()
        self._environ = {
            **os.environ,
            "SIGNING_KEY": SIGNING_KEY.private.private_bytes_raw().hex(),
            "PYTHONPATH": str(REPOSITORY),
        }
        self.client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self._port}/notifier",
            headers=bearer("admin", name="ann"),
            timeout=60,
            limits=httpx.Limits(max_keepalive_connections=0),  # one that is kept may just have been closed
        )
        self.acknowledged: set[str] = set()
        self._count = 0

    async def start(self) -> None:
        """Start the process, and return when it answers."""
        module = ["tests.journeys.alone", "notifier", str(self.folder), str(self._port)]
        self.process = Process([sys.executable, "-m", *module], log=self.folder / "log", env=self._environ)
        with anyio.fail_after(300):
            while not await self._answers():
                self.process.check()
                await anyio.sleep(0.05)

    async def _answers(self) -> bool:
        with suppress(httpx.TransportError):
            return (await self.client.get("/v1/channels")).is_success
        return False

    async def make(self) -> httpx.Response | None:
        """Make a channel; without an answer nobody knows whether it was made."""
        self._count += 1
        body = {
            "name": f"channel {self._count}",
            "kind": "webhook",
            "options": {"url": "http://127.0.0.1:1/"},
            "secrets": {"signing_secret": "whsec_" + "c" * 32},
        }
        with suppress(httpx.TransportError):
            answer = await self.client.post("/v1/channels", json=body)
            if answer.is_success:
                self.acknowledged.add(answer.json()["id"])
            return answer
        return None

    async def kill_in_the_middle(self) -> None:
        """Kill it while all are at it, and start it again."""
        before = len(self.acknowledged)

        async def work() -> None:
            for _ in range(EACH):
                await self.make()

        async with anyio.create_task_group() as people:
            for _ in range(AT_ONCE):
                people.start_soon(work)
            with anyio.fail_after(120):
                while len(self.acknowledged) < before + AT_ONCE * EACH // 3:
                    await anyio.sleep(0.001)
            self.process.kill()
        assert len(self.acknowledged) < before + AT_ONCE * EACH, "it was killed too late"
        await self.start()

    async def all(self, path: str, **query: str) -> list[Json]:
        """Return all items of a list."""
        answer = accepted(await self.client.get(path, params={"limit": "1000", **query}))
        assert not answer.get("next_cursor")
        return list(answer["items"])

    async def told(self, ids: set[Any]) -> None:
        """Return when the trail has an entry for each of these channels, and for no other."""
        with anyio.fail_after(120):
            while {e["object_id"] for e in await self.all("/v1/audit", action="channel.created")} != ids:
                await anyio.sleep(0.1)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """The notifier at work."""
    office = Office(tmp_path)
    await office.start()
    try:
        yield office
    finally:
        await office.client.aclose()
        await anyio.to_thread.run_sync(office.process.stop)


@contextmanager
def away(bus: Path) -> Iterator[None]:
    """Let nobody write to the embedded bus."""
    blocker = sqlite3.connect(bus, isolation_level=None, timeout=60)
    blocker.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        blocker.execute("ROLLBACK")
        blocker.close()


async def test_neither_a_kill_nor_an_absent_bus_loses_an_entry_or_keeps_a_change_without_one(
    office: Office, tmp_path: Path
) -> None:
    await office.kill_in_the_middle()
    with away(office.folder / "bus.db"):
        for _ in range(EACH):
            assert await office.make(), "an absent bus keeps nobody from a change"
    await office.kill_in_the_middle()

    made = {channel["id"] for channel in await office.all("/v1/channels")}
    assert office.acknowledged <= made
    await office.told(made)
    [source] = await office.all("/v1/audit/sources")
    assert (source["source"], source["missing"]) == ("notifier", 0)
    sequences = [entry["sequence"] for entry in await office.all("/v1/audit")]
    assert sorted(sequences) == list(range(1, len(sequences) + 1))
    trail, keys = tmp_path / "trail.jsonl", tmp_path / "keys.json"
    trail.write_bytes((await office.client.get("/v1/audit/export")).content)
    keys.write_bytes((await office.client.get("/v1/audit-keys")).content)
    assert "whole and unchanged" in verify_trail(trail, [keys])
    assert accepted(await office.client.get("/v1/dead-letters"))["total"] == 0
