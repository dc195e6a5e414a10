"""The assembled notifier at work, opened and closed as a test wants, on the same data each time."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx

from services.notifier.service import SCHEMA, build
from shared.bus import Bus, Message
from shared.bus.sqlite import SqliteBus
from shared.clock import utc_now
from shared.events import Event, Payload
from shared.service import Service
from tests.builders import bearer, surroundings

ADMIN = bearer("admin", name="ann")
QUICK = {"EVERLEAF_NOTIFIER_AUDIT_CHECKPOINT_EVERY": "1"}


class Premises:
    """A notifier with its doors, and a bus to speak on."""

    def __init__(self, service: Service, bus: Bus, client: httpx.AsyncClient) -> None:
        self.service = service
        self.bus = bus
        self.client = client

    async def say(self, *payloads: Payload, source: str = "test") -> list[str]:
        """Publish events, and return their ids."""
        events = [Event[Any].of(payload, source=source, now=utc_now()) for payload in payloads]
        await self.bus.publish([Message(id=e.id, type=e.type, body=e.to_bytes()) for e in events])
        return [event.id for event in events]

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """Ask as an administrator, and return what a success answers."""
        answer = await self.client.request(method, path, json=body, **more)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def until(self, path: str, count: int, **query: Any) -> list[dict[str, Any]]:
        """Return the items of a list once there are so many."""
        with anyio.fail_after(60):
            while len(items := (await self.ask("GET", path, params=query))["items"]) < count:
                await anyio.sleep(0.01)
        return list(items)


@asynccontextmanager
async def opened(
    data_dir: Path, *, bus: Bus | None = None, environ: Mapping[str, str] | None = None, at_work: bool = True
) -> AsyncIterator[Premises]:
    """Open a notifier; without `at_work` it answers, and does nothing by itself."""
    own = bus or SqliteBus(data_dir / "bus.db")
    try:
        async with build(surroundings(data_dir, environ={**QUICK, **(environ or {})}, bus=own)) as service:
            await SCHEMA.upgrade(service.database)
            await own.declare(service.queues)
            transport = httpx.ASGITransport(service.api, raise_app_exceptions=False)
            client = httpx.AsyncClient(transport=transport, base_url="http://notifier", headers=ADMIN)
            async with client, anyio.create_task_group() as tasks:
                if at_work:
                    tasks.start_soon(service.work)
                yield Premises(service, own, client)
                tasks.cancel_scope.cancel()
    finally:
        if bus is None:
            await own.close()
