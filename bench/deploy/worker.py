"""Works off the deployments that are due, as one process of the provisioner does."""

import asyncio
from datetime import timedelta
from pathlib import Path

from services.provisioner.settings import ProvisionerSettings
from shared.collector import look_less
from shared.store import Database
from tests.provisioner.workshop import Workshop, workshop

PATIENCE = timedelta(minutes=2)
"""The hosts share the machine with whoever deploys to them: what is measured is no time-out."""


async def main(url: str, keys: Path) -> None:
    """Deploy until nothing is due."""
    database = Database(url, source="provisioner")
    # Its tables are there: as in production, to make them is not what this process is for.
    async with workshop(
        database, verify_for=PATIENCE, start_for=PATIENCE, limit=PATIENCE, has_tables=True
    ) as shop:
        shop.vault.keys_in = keys
        look_less()
        await _work_off(shop, lanes=ProvisionerSettings().parallel)
    await database.close()


async def _work_off(shop: Workshop, *, lanes: int) -> None:
    """One claims for all lanes, as in the platform."""
    free, working = asyncio.Semaphore(lanes), set[asyncio.Task[None]]()

    def ended(task: asyncio.Task[None]) -> None:
        working.discard(task)
        free.release()

    while True:
        await free.acquire()
        claim = await shop.work.claim(now=shop.time())
        if claim is None:
            break
        task = asyncio.create_task(shop.work.run(claim))
        working.add(task)
        task.add_done_callback(ended)
    await asyncio.gather(*working)
