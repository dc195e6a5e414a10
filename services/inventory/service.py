"""The inventory, assembled."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from services.inventory.actions.access import Access
from services.inventory.actions.comparisons import Comparisons
from services.inventory.actions.crossings import Crossings
from services.inventory.actions.first_start import FirstStart
from services.inventory.actions.observations import Observations
from services.inventory.actions.reading import Reading
from services.inventory.actions.renewals import Renewals
from services.inventory.actions.replacements import Replacements
from services.inventory.api import routes
from services.inventory.connectors.credential_files import CredentialFiles
from services.inventory.events import EMITS, reactions
from services.inventory.settings import InventorySettings
from services.inventory.store.tables import Table
from services.inventory.workers import workers
from shared.dead_letters import dead_letter_routes
from shared.http import create_api
from shared.idempotency import Once
from shared.reactions import Reactor
from shared.service import Service, Surroundings
from shared.store import Database
from shared.store.migrate import Schema
from shared.store.outbox import Relay

NAME = "inventory"
SETTINGS = InventorySettings
SCHEMA = Schema(Table.metadata, Path(__file__).parent / "migrations")


@asynccontextmanager
async def build(surroundings: Surroundings) -> AsyncIterator[Service]:
    """Open what the service needs, make what the first start makes, and close it all at the end."""
    settings = surroundings.settings.load(SETTINGS, section=NAME)
    database = surroundings.open_database(NAME, settings)
    try:
        yield await _assembled(surroundings, settings, database)
    finally:
        await database.close()


async def _assembled(surroundings: Surroundings, settings: InventorySettings, database: Database) -> Service:
    clock = surroundings.clock
    crossings = Crossings(database, limits=settings.limits())
    replacements = Replacements(database, stale_after=timedelta(seconds=settings.stale_after))
    access = Access(
        database,
        sealer=surroundings.sealer,
        issuer=surroundings.token_issuer,
        token_lifetime=timedelta(seconds=settings.token_lifetime),
    )
    first_start = FirstStart(database, access, CredentialFiles(surroundings.data_dir))
    await first_start.prepare(clock())
    reacts = reactions(
        Observations(replacements=replacements, crossings=crossings, comparisons=Comparisons()),
        Renewals(replacements=replacements, crossings=crossings),
        clock=clock,
    )
    reactor = Reactor(database, surroundings.bus, reacts, clock=clock, backoff=surroundings.retry_after)
    by_the_clock = workers(
        crossings=crossings,
        replacements=replacements,
        access=access,
        first_start=first_start,
        clock=clock,
    )
    api = create_api(
        name=NAME,
        summary="Knows every certificate, where it is, how urgent it is, and who may ask.",
        routers=[
            *routes(Reading(database), access, once=Once(database, clock), clock=clock),
            dead_letter_routes(surroundings.bus, reactor.queue),
        ],
        verifier=surroundings.verifier,
    )
    return Service(
        name=NAME,
        api=api,
        database=database,
        queues=[reactor.queue],
        emits=EMITS,
        receives=[reaction.payload for reaction in reacts],
        jobs=[
            Relay(database, surroundings.bus).run,
            reactor.run,
            *(worker.run for worker in by_the_clock),
        ],
    )
