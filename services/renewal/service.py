"""Renewal, assembled."""

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

from services.renewal.actions.adoptions import Adoptions
from services.renewal.actions.attempt import Means
from services.renewal.actions.authorities import Authorities
from services.renewal.actions.challenges import Challenges
from services.renewal.actions.enrolments import Enrolments
from services.renewal.actions.keys import Keys
from services.renewal.actions.orders import Orders
from services.renewal.actions.profiles import Profiles
from services.renewal.actions.work import Work
from services.renewal.api import Actions, routes
from services.renewal.connectors import Network
from services.renewal.connectors.http01 import Listener
from services.renewal.connectors.inventory import Inventory
from services.renewal.domain.orders import Schedule
from services.renewal.events import EMITS, reactions
from services.renewal.settings import RenewalSettings
from services.renewal.store import Table
from services.renewal.workers import DELETE_EVERY
from services.renewal.workers import orders as order_lanes
from shared.dead_letters import dead_letter_routes
from shared.http import create_api
from shared.idempotency import Once
from shared.reactions import Reactor
from shared.service import Service, Surroundings, Worker
from shared.settings import durations
from shared.store import Database
from shared.store.migrate import Schema
from shared.store.outbox import Relay
from shared.tls import client_context
from shared.void_tokens import VoidTokens

NAME = "renewal"
SETTINGS = RenewalSettings
SCHEMA = Schema(Table.metadata, Path(__file__).parent / "migrations")


@asynccontextmanager
async def build(surroundings: Surroundings) -> AsyncIterator[Service]:
    """Open what the service needs, put it together, and close it all at the end."""
    settings = surroundings.settings.load(SETTINGS, section=NAME)
    async with AsyncExitStack() as opened:
        database = surroundings.open_database(NAME, settings)
        opened.push_async_callback(database.close)
        api_key = settings.api_key.get_secret_value() if settings.api_key else None
        asking = surroundings.siblings.open("inventory", caller=NAME, api_key=api_key)
        inventory = Inventory(await opened.enter_async_context(asking))
        yield await _assembled(
            surroundings, settings, database=database, inventory=inventory, tls=client_context()
        )


async def _assembled(
    surroundings: Surroundings,
    settings: RenewalSettings,
    *,
    database: Database,
    inventory: Inventory,
    tls: ssl.SSLContext,
) -> Service:
    clock, sealer = surroundings.clock, surroundings.sealer
    challenges = Challenges(database, clock=clock)
    listening = settings.http01_address()
    network = Network(policy=surroundings.outbound, tls=tls, http01=challenges if listening else None)
    authorities = Authorities(database, sealer=sealer, network=network)
    means = Means(sealer=sealer, authorities=authorities, schedule=Schedule(durations(settings.retry_after)))
    work = Work(database, means=means, lease=timedelta(seconds=settings.lease), clock=clock)
    await work.forget_leases()
    lanes = order_lanes(work, clock=clock, parallel=settings.parallel)
    orders = Orders(database, ring=lanes.ring)
    enrolments = Enrolments(database, orders)
    void_tokens = VoidTokens(database)
    reacts = (*reactions(enrolments, clock=clock), void_tokens.reaction)
    reactor = Reactor(database, surroundings.bus, reacts, clock=clock, backoff=surroundings.retry_after)
    keys = Keys(database, sealer=sealer, retention=timedelta(seconds=settings.key_retention))
    deletion = Worker("old keys", keys.delete_old, clock=clock, every=DELETE_EVERY)
    profiles = Profiles(database, authorities)
    actions = Actions(
        authorities=authorities,
        profiles=profiles,
        enrolments=enrolments,
        adoptions=Adoptions(database, inventory=inventory, profiles=profiles, enrolments=enrolments),
        orders=orders,
        keys=keys,
    )
    api = create_api(
        name=NAME,
        summary="Obtains certificates, and keeps their private keys.",
        routers=[
            *routes(actions, once=Once(database, clock), clock=clock),
            dead_letter_routes(surroundings.bus, reactor.queue),
        ],
        verifier=surroundings.verifier.refusing(void_tokens),
    )
    listeners = [Listener(*listening, find=challenges.find).run] if listening else []
    return Service(
        name=NAME,
        api=api,
        database=database,
        queues=[reactor.queue],
        emits=EMITS,
        receives=[reaction.payload for reaction in reacts],
        jobs=[Relay(database, surroundings.bus).run, reactor.run, lanes.run, deletion.run, *listeners],
    )
