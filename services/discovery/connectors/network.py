"""Network endpoints: what the scanner sees of them, between the other things that a service does."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import ClassVar

from services.discovery.domain.looks import LookOptions
from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import Asked
from services.discovery.scanner.depth import inquiry_of
from services.discovery.scanner.engine import Engine, Tempo
from services.discovery.scanner.look import Asker
from services.discovery.scanner.pace import Sockets


class Network:
    """Endpoints that are reached by TCP."""

    kind: ClassVar[str] = "network"

    def __init__(self, options: LookOptions | None = None, *, sockets: Sockets | None = None) -> None:
        """Take the options; `sockets` is the budget shared by all who look from this process."""
        options = options or LookOptions()
        self._tempo = Tempo(
            timeout=options.timeout.total_seconds(),
            concurrency=options.concurrency,
            rate=options.rate,
            per_host=options.per_host,
            per_network=options.per_network,
        )
        self._sockets = sockets or Sockets()
        self._inquire = inquiry_of(options.reach, Asker(options.limits.permits))

    async def look(self, asked: Iterable[Asked]) -> AsyncGenerator[Sighting]:
        """Look at each endpoint, many at a time, and yield what is seen as it is seen.

        Nobody looks further ahead than the engine is wide: it steps only when what it saw is taken.
        """
        engine = Engine(asked, inquire=self._inquire, tempo=self._tempo, sockets=self._sockets)
        try:
            while not engine.is_done:
                for sighting in engine.step():
                    yield sighting
                await _until_there_is_something_to_do(engine)
        finally:
            engine.close()


async def _until_there_is_something_to_do(engine: Engine) -> None:
    if engine.is_done or engine.has_work:
        await asyncio.sleep(0)
        return
    loop, heard = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(engine.fileno(), heard.set)
    try:
        async with asyncio.timeout(engine.patience):
            await heard.wait()
    except TimeoutError:
        return
    finally:
        loop.remove_reader(engine.fileno())
