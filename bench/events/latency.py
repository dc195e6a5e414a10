"""`python -m bench.events.latency BUS DATABASE COUNT RATE`: how long it takes from a commit until the handler has the event.

So many transactions a second, each with one event, come when they are due, whether the one before has ended or not. The last
line of the output has the milliseconds that half of them and 99 of 100 took, beside what a stopwatch tells.
"""

import json
import sys
import time
from statistics import quantiles

import anyio

from bench.events.pulse import NAME, Pulsed, open_bus
from shared.clock import utc_now
from shared.events import Event
from shared.reactions import Reaction, Reactor
from shared.store import Database, Transaction
from shared.store.outbox import Relay


class _Latencies:
    """When each event was committed, and when its handler had it."""

    def __init__(self, database: Database, *, count: int) -> None:
        self._database = database
        self._count = count
        self._committed: dict[int, float] = {}
        self._handled: dict[int, float] = {}
        self.done = anyio.Event()

    async def emit(self, number: int) -> None:
        """Commit one event."""
        async with self._database.transaction() as tx:
            tx.emit(Pulsed(number=number), now=utc_now())
        self._committed[number] = time.perf_counter()

    async def handle(self, _tx: Transaction, event: Event[Pulsed]) -> None:
        """Note that it is here."""
        self._handled.setdefault(event.data.number, time.perf_counter())
        if len(self._handled) == self._count:
            self.done.set()

    def milliseconds(self) -> list[float]:
        """Return what each took; one that overtook the task that had committed it took nothing."""
        return [
            max(0.0, handled - self._committed[number]) * 1000 for number, handled in self._handled.items()
        ]


async def main(bus_url: str, database_url: str, count: int, rate: float) -> None:
    """Emit and handle."""
    database, bus = Database(database_url, source=NAME), open_bus(bus_url)
    await database.ready()
    latencies = _Latencies(database, count=count)
    reactor = Reactor(database, bus, [Reaction(Pulsed, latencies.handle)], clock=utc_now)
    began, cpu = time.monotonic(), time.process_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Relay(database, bus).run)
        tasks.start_soon(reactor.run)
        async with anyio.create_task_group() as emitting:
            for number in range(count):
                await anyio.sleep(max(0.0, began + number / rate - time.monotonic()))
                emitting.start_soon(latencies.emit, number)
        await latencies.done.wait()
        tasks.cancel_scope.cancel()
    took = {"wall": time.monotonic() - began, "cpu": time.process_time() - cpu}
    parts = quantiles(latencies.milliseconds(), n=100)
    print(json.dumps({**took, "p50": parts[49], "p99": parts[98]}))
    await bus.close()
    await database.close()


if __name__ == "__main__":
    anyio.run(
        main,
        sys.argv[1],
        sys.argv[2],
        int(sys.argv[3]),
        float(sys.argv[4]),
        backend_options={"use_uvloop": True},
    )
