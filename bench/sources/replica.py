"""`python -m bench.sources.replica URL`: works off the runs of sources, as one process of discovery with its defaults does."""

import asyncio
import sys
from datetime import timedelta

from services.discovery.actions.accesses import Accesses
from services.discovery.actions.source_runs import SourceRuns
from services.discovery.connectors import Limits
from services.discovery.settings import DiscoverySettings
from services.discovery.store import Room
from shared.clock import utc_now
from shared.outbound import Policy
from shared.sealing import KeyEncryptionKey, Sealer
from shared.store import Database

LEASE = timedelta(seconds=30)
PATIENCE = timedelta(minutes=2)
"""The hosts share the machine with whoever reads them: what is measured is no time-out."""
PAUSE = 0.05
IDLE = 10
"""Pauses without a run to be claimed until all is done: others may still be at work on theirs."""


def accesses(database: Database) -> Accesses:
    """Return what opens the credentials of the bench's sources."""
    return Accesses(
        database,
        Sealer([KeyEncryptionKey(b"b" * 32)]),
        limits=Limits(connect=PATIENCE, command=PATIENCE),
        policy=Policy(),
    )


async def main(url: str) -> None:
    """Read until nothing is left."""
    settings = DiscoverySettings()
    database = Database(url, source="discovery")
    runs = SourceRuns(
        database,
        accesses=accesses(database),
        clock=utc_now,
        lease=LEASE,
        misses_until_lost=settings.misses_until_lost,
        room=Room(per_host=settings.sources_per_host, per_network=settings.sources_per_network),
    )

    # One claims for all lanes, as in the platform: many that ask at once would only wait for each other.
    free, working = asyncio.Semaphore(settings.sources_at_once), set[asyncio.Task[None]]()

    def ended(task: asyncio.Task[None]) -> None:
        working.discard(task)
        free.release()

    idle = 0
    while working or idle < IDLE:
        await free.acquire()
        claim = await runs.claim(now=utc_now())
        if claim is None:
            free.release()
            idle += 1
            await asyncio.sleep(PAUSE)
            continue
        idle = 0
        task = asyncio.create_task(runs.run(claim))
        working.add(task)
        task.add_done_callback(ended)
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
