"""`python -m bench.ingest.worker BUS DATABASE COUNT`: the inventory's reactions and its outbox, until so many events are in."""

import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import anyio

from bench.ingest.telling import Stopwatch
from services.inventory.actions.assessing import Assessing
from services.inventory.actions.comparisons import Comparisons
from services.inventory.actions.crossings import Crossings
from services.inventory.actions.holding import hold_all
from services.inventory.actions.observations import Observations
from services.inventory.actions.renewals import Renewals
from services.inventory.actions.replacements import Replacements
from services.inventory.connectors import policy_files
from services.inventory.events import reactions
from services.inventory.service import ABREAST, AT_ONCE, batch_for
from services.inventory.settings import InventorySettings
from shared.bus import Delivery, Outcome
from shared.bus.rabbitmq import RabbitBus
from shared.clock import utc_now
from shared.collector import look_less
from shared.reactions import Reaction, Reactor
from shared.store import Database
from shared.store.outbox import Relay


def table(database: Database) -> Sequence[Reaction[Any]]:
    """Return what the inventory does with its queue, with its default settings."""
    settings = InventorySettings()
    crossings = Crossings(database, limits=settings.limits())
    replacements = Replacements(database, stale_after=timedelta(seconds=settings.stale_after))
    observations = Observations(
        replacements=replacements,
        crossings=crossings,
        comparisons=Comparisons(),
        assessing=Assessing(database, timelines=policy_files.timelines()),
    )
    renewals = Renewals(replacements=replacements, crossings=crossings)
    return reactions(observations, renewals, clock=utc_now)


class _Counting(Reactor):
    """Says when so many events were handled."""

    async def until(self, count: int) -> None:
        """React until then."""
        self._left, self._done = count, anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.run)
            await self._done.wait()
            tasks.cancel_scope.cancel()

    async def handle(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        outcomes = await super().handle(deliveries)
        self._left -= len(deliveries)
        if self._left <= 0:
            self._done.set()
        return outcomes


async def main(bus_url: str, database_url: str, count: int) -> None:
    """Work off the queue."""
    database, bus = Database(database_url, source="inventory"), RabbitBus(bus_url)
    await database.ready()
    reactor = _Counting(
        database,
        bus,
        table(database),
        clock=utc_now,
        batch=batch_for(database),
        at_once=AT_ONCE,
        abreast=ABREAST,
        before=hold_all,
    )
    look_less()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Relay(database, bus).run)
        with Stopwatch():
            await reactor.until(count)
        tasks.cancel_scope.cancel()
    await bus.close()
    await database.close()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]), backend_options={"use_uvloop": True})
