"""Very many certificates that cross a threshold within a minute, and a receiver that is away for hours.

`flood COUNT FOLDER` hears the events in a fresh SQLite file, with time in hand, and prints its tally: what people, machines and
the one that was away have got. What is lost, doubled or held up is a fault.
"""

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import sqlalchemy as sa
from pydantic import SecretStr
from sqlmodel import col

from bench.alerts.telling import BATCH, CALLER, KEY, event_of
from bench.issue.clock import timed
from services.notifier import store
from services.notifier.actions.alerts import Alerts
from services.notifier.actions.channels import Channels, NewChannel
from services.notifier.actions.deliveries import MOST, Deliveries, Job, Schedule
from services.notifier.actions.digests import Digests
from services.notifier.actions.thresholds import Thresholds
from services.notifier.connectors import Network, Sent
from services.notifier.connectors.clients import Clients
from services.notifier.domain.deliveries import DeliveryState
from services.notifier.events import reactions
from services.notifier.service import SCHEMA
from shared.bus import Delivery, Message
from shared.bus.sqlite import SqliteBus
from shared.clock import utc_now
from shared.events import Event
from shared.outbound import Policy
from shared.reactions import Reactor
from shared.sealing import KeyEncryptionKey, Sealer
from shared.store import Database
from shared.tls import client_context

MINUTE, HOURS = timedelta(minutes=1), timedelta(hours=3)
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Receiver:
    """A server that takes every request and keeps their identities, while it is there."""

    port: int = 0
    identities: list[str] = field(default_factory=list)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
                await reader.readexactly(int(headers["content-length"]))
                self.identities.append(headers.get("webhook-id", ""))
                writer.write(_ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    @asynccontextmanager
    async def there(self) -> AsyncIterator[None]:
        """Answer within."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        yield
        server.close()


@dataclass
class Flood:
    """A notifier without doors, and the time."""

    database: Database
    channels: Channels
    now: datetime

    def __post_init__(self) -> None:
        schedule = Schedule(waits=(MINUTE, HOURS), report_after=1, lease=timedelta(minutes=2))
        self._deliveries = Deliveries(
            self.database, channels=self.channels, schedule=schedule, portal_url=None
        )
        self._digests = Digests(self.database)

    async def hear(self, count: int, bus: SqliteBus) -> None:
        """Let so many certificates cross a threshold within a minute."""
        table = reactions(Alerts(self.database), Thresholds(self.database), clock=lambda: self.now)
        reactor = Reactor(self.database, bus, table, clock=lambda: self.now)
        for start in range(0, count, BATCH):
            some = [event_of(number, now=self.now) for number in range(start, min(start + BATCH, count))]
            events = [Event.of(each, source="bench", now=self.now) for each in some]
            messages = [Message(id=each.id, type=each.type, body=each.to_bytes()) for each in events]
            await reactor.handle([Delivery(message=each, attempt=1) for each in messages])
            self.now += MINUTE * BATCH / count

    async def pass_time(self, span: timedelta) -> None:
        """Let time pass, and send all that is due by then."""
        self.now += span
        await self._digests.gather_due(self.now)
        while jobs := await self._deliveries.claim(busy=(), now=self.now, room=lambda _: MOST):
            came_out: dict[str, list[tuple[Job, Sent]]] = {}
            for job in jobs:
                sent = await self._deliveries.send(job, now=self.now)
                came_out.setdefault(job.channel.id, []).append((job, sent))
            for outcomes in came_out.values():
                await self._deliveries.record(outcomes[0][0].channel, outcomes, now=self.now)

    async def delivered(self) -> dict[str, int]:
        """Return how many alerts were told, by channel."""
        names = (
            sa.select(col(store.Channel.name), sa.func.count())
            .join(store.Delivery, col(store.Delivery.channel_id) == col(store.Channel.id))
            .join(store.Alert, col(store.Alert.id) == col(store.Delivery.alert_id))
            .where(
                col(store.Delivery.state) == DeliveryState.DELIVERED, col(store.Alert.problem) == "expiring"
            )
            .group_by(col(store.Channel.name))
        )
        async with self.database.read() as session:
            return {row[0]: row[1] for row in (await session.execute(names)).all()}


async def main() -> None:
    """Run it all, and print the tally."""
    count, folder = int(sys.argv[1]), Path(sys.argv[2])
    database = Database(f"sqlite:///{folder / 'notifier.db'}", source="notifier")
    await SCHEMA.upgrade(database)
    policy, bus = Policy(["127.0.0.0/8"]), SqliteBus(folder / "bus.db")
    clients = Clients(policy)
    network = Network(policy=policy, tls=client_context(), clients=clients)
    sealer = Sealer([KeyEncryptionKey(b"k" * 32)])
    channels = Channels(database, sealer=sealer, network=network, portal_url=None)
    people, machine, away = Receiver(), Receiver(), Receiver()
    with timed(count):
        async with people.there(), machine.there():
            async with away.there():
                pass  # it has an address, and is gone
            await _make(channels, people=people, machine=machine, away=away)
            flood = Flood(database, channels, utc_now())
            await flood.hear(count, bus)
            await flood.pass_time(MINUTE)
            held_up = count - len(set(machine.identities))
            await flood.pass_time(2 * MINUTE)
            async with away.there():
                await flood.pass_time(HOURS * 1.2)
            faults = _faults(count, await flood.delivered(), machine=machine, away=away, held_up=held_up)
            await clients.close()
    tally = {
        "people": len(people.identities),
        "machine": len(machine.identities),
        "away": len(away.identities),
    }
    await bus.close()
    await database.close()
    print(json.dumps({"tally": tally, "faults": faults}))


def _faults(
    count: int, delivered: dict[str, int], *, machine: Receiver, away: Receiver, held_up: int
) -> list[str]:
    faults = [
        f"{name}: {count - delivered.get(name, 0)} of {count} lost"
        for name in ("people", "machine", "away")
        if delivered.get(name, 0) != count
    ]
    for name, receiver in (("machine", machine), ("away", away)):
        if twice := len(receiver.identities) - len(set(receiver.identities)):
            faults.append(f"{name}: {twice} doubled")
    return [*faults, *([f"{held_up} were held up"] if held_up > 0 else [])]


async def _make(channels: Channels, *, people: Receiver, machine: Receiver, away: Receiver) -> None:
    signing = {"signing_secret": f"whsec_{base64.b64encode(KEY).decode()}"}
    chat = {"url": f"http://127.0.0.1:{people.port}/"}
    rows: list[tuple[str, str, dict[str, Any], dict[str, str]]]
    rows = [("people", "teams", {"per_minute": None}, chat)]
    for name, receiver in (("machine", machine), ("away", away)):
        rows.append((name, "webhook", {"url": f"http://127.0.0.1:{receiver.port}/"}, signing))
    for name, kind, options, secrets in rows:
        sealed = {key: SecretStr(value) for key, value in secrets.items()}
        new = NewChannel(name=name, kind=kind, options=options, secrets=sealed, enabled=True)
        await channels.create(new, caller=CALLER, now=utc_now())


if __name__ == "__main__":
    anyio.run(main, backend_options={"use_uvloop": True})
