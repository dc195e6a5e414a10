"""Discovery, assembled."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

from services.discovery.actions.scans import Bounds, Pace, Scans
from services.discovery.actions.watches import Watches
from services.discovery.api import routes
from services.discovery.connectors.network import Network, NetworkOptions
from services.discovery.domain.targets import Limits
from services.discovery.events import EMITS, reactions
from services.discovery.settings import DiscoverySettings
from services.discovery.store import Table
from services.discovery.workers import Workers
from shared.dead_letters import dead_letter_routes
from shared.http import create_api
from shared.idempotency import Once
from shared.reactions import Reactor
from shared.service import Service, Surroundings
from shared.store.migrate import Schema
from shared.store.outbox import Relay

NAME = "discovery"
SETTINGS = DiscoverySettings
SCHEMA = Schema(Table.metadata, Path(__file__).parent / "migrations")


@asynccontextmanager
async def build(surroundings: Surroundings) -> AsyncIterator[Service]:
    """Open what the service needs, put it together, and close it all at the end."""
    settings = surroundings.settings.load(SETTINGS, section=NAME)
    Limits(allow=settings.allow, deny=settings.deny)
    clock = surroundings.clock
    async with AsyncExitStack() as opened:
        database = surroundings.open_database(NAME, settings)
        opened.push_async_callback(database.close)
        workers = Workers(clock)
        scans = Scans(
            database, bounds=_bounds(settings), open_source=_network, clock=clock, ring=workers.scanning.ring
        )
        watches = Watches(
            database,
            source=_network(timedelta(seconds=settings.timeout), settings.concurrency),
            misses_until_lost=settings.misses_until_lost,
            clock=clock,
        )
        workers.do(scan=scans.work, watch=watches.work)
        pace = Pace(timeout=settings.timeout, concurrency=settings.concurrency)
        reacts = reactions(watches, clock=clock)
        reactor = Reactor(database, surroundings.bus, reacts, clock=clock, backoff=surroundings.retry_after)
        api = create_api(
            name=NAME,
            summary="Finds every TLS certificate, and where it is.",
            routers=[
                routes(scans, once=Once(database, clock), clock=clock, pace=pace),
                dead_letter_routes(surroundings.bus, reactor.queue),
            ],
            verifier=surroundings.verifier,
        )
        yield Service(
            name=NAME,
            api=api,
            database=database,
            queues=[reactor.queue],
            emits=EMITS,
            receives=[reaction.payload for reaction in reacts],
            jobs=[
                Relay(database, surroundings.bus).run,
                reactor.run,
                workers.scanning.run,
                workers.watching.run,
            ],
        )


def _network(timeout: timedelta, concurrency: int) -> Network:
    return Network(NetworkOptions(timeout=timeout, concurrency=concurrency))


def _bounds(settings: DiscoverySettings) -> Bounds:
    return Bounds(
        allow=settings.allow,
        deny=settings.deny,
        max_targets=settings.max_targets,
        misses_until_lost=settings.misses_until_lost,
        lease=timedelta(seconds=settings.lease),
    )
