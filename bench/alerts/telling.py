"""The subject: from the events of certificates that expire to the last request at the receiver, in a fresh SQLite file.

`telling COUNT FOLDER PORT` prints what reacting, opening the alerts and delivering them took, together.
"""

import base64
import sys
from datetime import datetime, timedelta
from pathlib import Path

import anyio
import sqlalchemy as sa
from pydantic import SecretStr
from sqlmodel import col

from bench.issue.clock import timed
from services.notifier import store
from services.notifier.actions.alerts import Alerts
from services.notifier.actions.channels import Channels, NewChannel
from services.notifier.actions.deliveries import Deliveries, Schedule
from services.notifier.actions.thresholds import Thresholds
from services.notifier.connectors import Network
from services.notifier.connectors.clients import Clients
from services.notifier.connectors.webhook import body
from services.notifier.domain.deliveries import DeliveryState
from services.notifier.domain.evidence import of_expiring
from services.notifier.domain.notices import Notice, Turn
from services.notifier.events import reactions
from services.notifier.service import SCHEMA
from services.notifier.workers import Postman
from shared.access import Principal
from shared.bus import Delivery, Message
from shared.bus.sqlite import SqliteBus
from shared.clock import utc_now
from shared.events import Event
from shared.events.discovery import Place
from shared.events.inventory import CertificateExpiring, Urgency
from shared.events.notifier import Severity
from shared.outbound import Policy
from shared.reactions import Reactor
from shared.sealing import KeyEncryptionKey, Sealer
from shared.store import Database
from shared.tls import client_context

CALLER = Principal(id="bench", name="bench", roles=frozenset({"admin"}))
KEY = bytes(range(32))
PARALLEL = 4
BATCH = 100
_DAY = timedelta(days=1)


def event_of(number: int, *, now: datetime) -> CertificateExpiring:
    """Return one of many that expire."""
    return CertificateExpiring(
        lineage_id=f"lineage-{number}",
        fingerprint=f"{number:064x}",
        urgency=Urgency.WARNING,
        not_before=now - 70 * _DAY,
        not_after=now + 20 * _DAY,
        subject_name=f"CN=host-{number}.example.test",
        issuer_name="CN=Example CA,O=Example,C=DE",
        names=[f"host-{number}.example.test", f"www.host-{number}.example.test"],
        places=[Place(address="192.0.2.7", port=443, server_name=f"host-{number}.example.test")],
        place_count=1,
    )


def content_of(number: int) -> bytes:
    """Return a body like those that the notifier sends."""
    now = utc_now()
    event = event_of(number, now=now)
    evidence = of_expiring(event, told_at=now)
    if evidence is None:
        sys.exit("nothing to tell")
    notice = Notice(
        id=f"{number}",
        alert_id=f"{number}",
        number=1,
        turn=Turn.OPENED,
        problem="expiring",
        severity=Severity.WARNING,
        headline=f"host-{number}.example.test expires in 20 days",
        details=evidence.details,
        opened_at=now,
        at=now,
    )
    return body(notice)


async def main() -> None:
    """Say the events, and wait for the last delivery."""
    count, folder, port = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    database = Database(f"sqlite:///{folder / 'notifier.db'}", source="notifier")
    await SCHEMA.upgrade(database)
    channels = await _channels(database, port)
    bus = SqliteBus(folder / "bus.db")
    table = reactions(Alerts(database), Thresholds(database), clock=utc_now)
    reactor = Reactor(database, bus, table, clock=utc_now)
    now = utc_now()
    said = [Event.of(event_of(number, now=now), source="bench", now=now) for number in range(count)]
    messages = [Message(id=each.id, type=each.type, body=each.to_bytes()) for each in said]
    schedule = Schedule(waits=(_DAY,), report_after=100, lease=timedelta(minutes=2))
    deliveries = Deliveries(database, channels=channels, schedule=schedule, portal_url=None)
    postman = Postman(deliveries, clock=utc_now, parallel=PARALLEL, every=timedelta(milliseconds=50))
    with timed(count):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(postman.run)
            for start in range(0, count, BATCH):
                some = messages[start : start + BATCH]
                await reactor.handle([Delivery(message=each, attempt=1) for each in some])
            while await _delivered(database) < count:  # noqa: ASYNC110 - rows are what is waited for
                await anyio.sleep(0.05)
            tasks.cancel_scope.cancel()
    await bus.close()
    await database.close()


async def _channels(database: Database, port: int) -> Channels:
    policy = Policy(["127.0.0.0/8"])
    network = Network(policy=policy, tls=client_context(), clients=Clients(policy))
    sealer = Sealer([KeyEncryptionKey(b"k" * 32)])
    channels = Channels(database, sealer=sealer, network=network, portal_url=None)
    secret = SecretStr(f"whsec_{base64.b64encode(KEY).decode()}")
    new = NewChannel(
        name="hook",
        kind="webhook",
        options={"url": f"http://127.0.0.1:{port}/"},
        secrets={"signing_secret": secret},
        enabled=True,
    )
    await channels.create(new, caller=CALLER, now=utc_now())
    return channels


async def _delivered(database: Database) -> int:
    query = sa.select(sa.func.count()).where(col(store.Delivery.state) == DeliveryState.DELIVERED)
    async with database.read() as session:
        return await session.scalar(query) or 0


if __name__ == "__main__":
    anyio.run(main, backend_options={"use_uvloop": True})
