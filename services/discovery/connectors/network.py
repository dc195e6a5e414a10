"""Network endpoints: what the scanner sees of them, between the other things that a service does."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import ClassVar

from services.discovery.domain.looks import LookOptions
from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import Asked
from services.discovery.scanner.engine import Engine, Tempo
from services.discovery.scanner.look import Asker, inquiry_of
from services.discovery.scanner.pace import Sockets


class Network:
    """Endpoints that are reached by TCP."""

    kind: ClassVar[str] = "network"

    def __init__(self, options: LookOptions | None = None, *, sockets: Sockets | None = None) -> None:
        """Take the options; `sockets` is the budget shared by all who look from this process."""
        self._options = options or LookOptions()
        self._sockets = sockets or Sockets()
        self._inquire = inquiry_of(self._options.reach, Asker())

    async def look(self, asked: Iterable[Asked]) -> AsyncGenerator[Sighting]:
        """Look at each endpoint, many at a time, and yield what is seen as it is seen.

        Nobody looks further ahead than the engine is wide: it steps only when what it saw is taken.
        """
        engine = Engine(
            asked,
            permits=self._options.limits.permits,
            inquire=self._inquire,
            tempo=_tempo(self._options),
            sockets=self._sockets,
        )
        sharers = self._options.sharers.number
        try:
            while not engine.is_done:
                for sighting in engine.step():
                    yield sighting
                if self._options.sharers.number != sharers:
                    sharers = self._options.sharers.number
                    engine.retime(_tempo(self._options))
                await _until_there_is_something_to_do(engine)
        finally:
            engine.close()


def _tempo(options: LookOptions) -> Tempo:
    mine = options.share()
    return Tempo(
        timeout=mine.timeout.total_seconds(),
        concurrency=mine.concurrency,
        rate=mine.rate,
        per_host=mine.per_host,
        per_network=mine.per_network,
    )


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
