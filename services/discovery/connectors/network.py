"""Network endpoints: what the scanner sees of them, between the other things that a service does."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar

from services.discovery.domain.limits import Limits
from services.discovery.domain.looks import Reach
from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import Asked
from services.discovery.scanner.depth import inquiry_of
from services.discovery.scanner.engine import Engine, Tempo
from services.discovery.scanner.look import Asker
from services.discovery.scanner.pace import Sockets


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """`timeout` bounds each connection as a whole; `concurrency` is connections at a time, to all and to each
    host and network (/24 or /64); `rate` is new connections per second.
    """

    timeout: timedelta = timedelta(seconds=3)
    concurrency: int = 1000
    rate: float | None = None
    per_host: int | None = 10
    per_network: int | None = 256
    limits: Limits = field(default_factory=Limits)
    reach: Reach = Reach.FAST
    sockets: Sockets = field(default_factory=Sockets)


class Network:
    """Endpoints that are reached by TCP."""

    kind: ClassVar[str] = "network"

    def __init__(self, options: NetworkOptions) -> None:
        self._tempo = Tempo(
            timeout=options.timeout.total_seconds(),
            concurrency=options.concurrency,
            rate=options.rate,
            per_host=options.per_host,
            per_network=options.per_network,
        )
        self._sockets = options.sockets
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
