"""`python -m bench.events.worker BUS DATABASE COUNT [alone]`: takes an outbox to the bus, and what comes from there to its effect."""

import sys
from functools import partial

import anyio

from bench.events.pulse import NAME, Counting, open_bus
from bench.ingest.telling import Stopwatch
from shared.collector import look_less
from shared.store import Database
from shared.store.outbox import Relay


async def main(bus_url: str, database_url: str, count: int, *, alone: bool) -> None:
    """Relay and react until so many events have had their effect."""
    database, bus = Database(database_url, source=NAME), open_bus(bus_url)
    await database.ready()
    look_less()
    async with anyio.create_task_group() as tasks:
        with Stopwatch():
            tasks.start_soon(Relay(database, bus).run)
            await Counting(database, bus, alone=alone).until(count)
        tasks.cancel_scope.cancel()
    await bus.close()
    await database.close()


if __name__ == "__main__":
    work = partial(main, sys.argv[1], sys.argv[2], int(sys.argv[3]), alone=sys.argv[4:] == ["alone"])
    anyio.run(work, backend_options={"use_uvloop": True})
