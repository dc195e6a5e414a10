"""`python -m bench.ingest.row_by_row BUS DATABASE COUNT`: a consumer as it is written first: one message, one session, one commit.

It keeps the inbox, the certificate with names and bytes, what the endpoint serves, and an event in the outbox; no history, no
lineages' timelines and nothing that is due afterwards.
"""

import sys
from typing import Any

import aio_pika
import anyio
import sqlalchemy as sa
from aio_pika.abc import AbstractIncomingMessage
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from bench.ingest.telling import Stopwatch
from services.inventory.actions.certificates import Chain, certificate_row
from services.inventory.domain.certificates import indexed_names, read, reversed_name
from services.inventory.store.places import place_id
from services.inventory.store.tables import (
    Certificate,
    CertificateDer,
    CertificateName,
    Lineage,
    PlaceRow,
    Sighting,
)
from shared.bus.rabbitmq import RabbitBus
from shared.clock import utc_now
from shared.events import Event
from shared.events.discovery import CertificateFound
from shared.ids import new_id
from shared.reactions import Reactor
from shared.store import Database
from shared.store.plumbing import INBOX, OUTBOX

_PREFETCH = 10


async def _take_in(session: AsyncSession, event: Event[CertificateFound]) -> None:
    seen = event.data
    mine = sa.select(INBOX.c.event_id).where(INBOX.c.event_id == event.id)
    if await session.scalar(mine) is not None:
        return
    row = {"queue": "bench", "event_id": event.id, "seen_at": utc_now()}
    await session.execute(sa.insert(INBOX).values(row))
    known = await session.scalar(
        sa.select(Certificate).where(col(Certificate.fingerprint) == seen.fingerprint)
    )
    if known is None:
        await _add(session, seen)
    place = await session.get(PlaceRow, place_id(seen.place.key))
    if place is None:
        session.add(PlaceRow(id=place_id(seen.place.key), key=seen.place.key, **seen.place.model_dump()))
    now = await session.get(Sighting, place_id(seen.place.key))
    if now is None:
        at = seen.observed_at
        now = Sighting(place_id=place_id(seen.place.key), first_seen=at, last_seen=at)
        session.add(now)
    now.fingerprint, now.last_seen = seen.fingerprint, seen.observed_at
    told = {"event_id": new_id(), "type": event.type, "body": b"{}", "created_at": utc_now()}
    await session.execute(sa.insert(OUTBOX).values(told))


async def _add(session: AsyncSession, seen: CertificateFound) -> None:
    lineage = Lineage(id=new_id(), title=seen.place.key, created_at=utc_now())
    session.add(lineage)
    await session.flush()
    reading = read(seen.fingerprint, seen.chain[0])
    chain = Chain(fingerprint=seen.fingerprint, ders=seen.chain)
    row = certificate_row(reading, chain, lineage_id=lineage.id, now=utc_now())
    session.add(row)
    await session.flush()
    for name in indexed_names(row.names):
        backwards = reversed_name(name)
        session.add(CertificateName(fingerprint=row.fingerprint, name=name, backwards=backwards))
    for fingerprint, der in zip(chain.fingerprints, seen.chain, strict=True):
        if await session.get(CertificateDer, fingerprint) is None:
            session.add(CertificateDer(fingerprint=fingerprint, der=der))


async def main(bus_url: str, database_url: str, count: int) -> None:
    """Work off the queue."""
    database = Database(database_url, source="inventory")
    queue = Reactor(database, RabbitBus(bus_url), [], clock=utc_now).queue
    done, left = anyio.Event(), count
    connection = await aio_pika.connect(bus_url)
    channel = await connection.channel()
    await channel.set_qos(_PREFETCH)

    async def handle(message: AbstractIncomingMessage) -> None:
        nonlocal left
        async with message.process(requeue=True), AsyncSession(database.engine) as session, session.begin():
            event: Event[Any] = Event.parse(message.body, CertificateFound)
            await _take_in(session, event)
        left -= 1
        if left == 0:
            done.set()

    source = await channel.get_queue(queue.name)
    with Stopwatch():
        await source.consume(handle)
        await done.wait()
    await connection.close()
    await database.close()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]), backend_options={"use_uvloop": True})
