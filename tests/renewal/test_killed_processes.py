"""A renewal service of its own process is killed with SIGKILL in the middle of an order, and started again."""

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import anyio
import pytest
import sqlalchemy as sa

from services.renewal.connectors import Challenge
from services.renewal.domain.orders import State
from services.renewal.service import NAME
from shared.bus import Delivery, Outcome, Queue, Verdict
from shared.bus.sqlite import SqliteBus
from shared.events import Event
from shared.events.renewal import CertificateRenewed
from shared.store import Database
from shared.store.plumbing import OUTBOX
from tests.renewal.test_acme_crashes import orders_at_the_authority
from tests.renewal.workshop import Workshop
from tests.servers.pebble import StartPebble
from tests.servers.processes import free_port

WITNESS = Queue(name="witness", types=(CertificateRenewed.type,))
REPOSITORY = Path(__file__).parents[2]
NO_STEP = "-"


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Workshop]:
    """What the service has in its database, seen from outside."""
    database = Database(f"sqlite:///{tmp_path}/{NAME}.db", source=NAME)
    yield await Workshop(database).set_up(kind="builtin")
    await database.close()


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[SqliteBus]:
    """The embedded bus, with a witness of what is told."""
    opened = SqliteBus(tmp_path / "bus.db")
    await opened.declare([WITNESS])
    yield opened
    await opened.close()


@pytest.mark.parametrize(
    "steps",
    [
        ("place",),
        ("answer",),
        ("finalize",),
        ("download",),
        ("account", "place", "show", "validate", "clean", "finalize", "download"),
    ],
    ids="+".join,
)
async def test_a_service_that_was_really_killed_ends_in_one_certificate(
    shop: Workshop, bus: SqliteBus, start_pebble: StartPebble, tmp_path: Path, steps: Sequence[str]
) -> None:
    port = free_port()
    pebble = start_pebble(http01_port=port)
    options = {"directory_url": pebble.dir_url, "ca_pem": pebble.ca_pem.read_text()}
    await shop.authority("pebble", kind="acme", options=options)
    await shop.profile("acme", authority="pebble", challenge=Challenge.HTTP_01)
    placed = await shop.order(profile="acme")
    for step in steps:
        child = await service(tmp_path, port, step)
        assert await asyncio.wait_for(child.wait(), 150) == -signal.SIGKILL, step
    child = await service(tmp_path, port, NO_STEP)
    try:
        await until_told(shop)
    finally:
        child.kill()
        await child.wait()
    order = await shop.only()
    assert order.state == State.RENEWED
    at_the_authority = await orders_at_the_authority(shop, placed)
    # The authority may have come for the answer while nobody was there: then that order is lost.
    assert at_the_authority == ["valid"] or (
        "answer" in steps and sorted(at_the_authority) == ["invalid", "valid"]
    )
    [told] = await heard(bus)
    assert (told.order_id, told.fingerprint) == (order.id, order.fingerprint)


async def service(folder: Path, port: int, step: str) -> Process:
    command = (sys.executable, "-m", "tests.renewal.killed", str(folder), str(port), step)
    return await asyncio.create_subprocess_exec(*command, cwd=REPOSITORY)


async def until_told(shop: Workshop) -> None:
    with anyio.fail_after(150):
        while (await shop.only()).state != State.RENEWED or await left_to_tell(shop):
            await anyio.sleep(0.05)


async def left_to_tell(shop: Workshop) -> int:
    async with shop.database.read() as session:
        return int(await session.scalar(sa.select(sa.func.count()).select_from(OUTBOX)) or 0)


async def heard(bus: SqliteBus) -> list[CertificateRenewed]:
    """Return what the witness was told, all of it."""
    told: list[CertificateRenewed] = []

    async def listen(deliveries: Sequence[Delivery]) -> list[Outcome]:
        told.extend(Event.parse(each.message.body, CertificateRenewed).data for each in deliveries)
        return [Outcome(verdict=Verdict.DONE) for _ in deliveries]

    with anyio.move_on_after(0.5):
        await bus.consume(WITNESS, listen)
    return told
