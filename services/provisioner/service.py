"""The provisioner, assembled."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

from services.provisioner.actions.accesses import Accesses
from services.provisioner.actions.attempt import Means
from services.provisioner.actions.bindings import Bindings
from services.provisioner.actions.deployments import Deployments
from services.provisioner.actions.key_requests import KeyRequests
from services.provisioner.actions.key_work import KeyWork
from services.provisioner.actions.keys import sealing_public_key
from services.provisioner.actions.proposals import Proposals
from services.provisioner.actions.targets import Targets
from services.provisioner.actions.work import Work
from services.provisioner.api import Actions, routes
from services.provisioner.connectors import Limits
from services.provisioner.connectors.inventory import Inventory
from services.provisioner.connectors.renewal import Renewal
from services.provisioner.connectors.wire import Handshakes
from services.provisioner.domain import Schedule
from services.provisioner.events import EMITS, reactions
from services.provisioner.settings import ProvisionerSettings
from services.provisioner.store import Table
from services.provisioner.workers import deployments as deployment_lanes
from services.provisioner.workers import key_requests as key_lanes
from shared.dead_letters import dead_letter_routes
from shared.http import create_api
from shared.idempotency import Once
from shared.reactions import Reactor
from shared.service import Service, Surroundings
from shared.settings import durations
from shared.store import Database
from shared.store.migrate import Schema
from shared.store.outbox import Relay
from shared.void_tokens import VoidTokens

NAME = "provisioner"
KEY_LEASE = timedelta(minutes=5)
"""The longest that one attempt to make a key on a target takes."""
SETTINGS = ProvisionerSettings
SCHEMA = Schema(Table.metadata, Path(__file__).parent / "migrations")


@asynccontextmanager
async def build(surroundings: Surroundings) -> AsyncIterator[Service]:
    """Open what the service needs, put it together, and close it all at the end."""
    settings = surroundings.settings.load(SETTINGS, section=NAME)
    async with AsyncExitStack() as opened:
        database = surroundings.open_database(NAME, settings)
        opened.push_async_callback(database.close)
        renewal = Renewal(
            await opened.enter_async_context(
                surroundings.siblings.open(
                    "renewal",
                    caller=NAME,
                    api_key=settings.api_key.get_secret_value() if settings.api_key else None,
                    sealing_key=await sealing_public_key(database, surroundings.sealer, surroundings.clock()),
                )
            )
        )
        inventory = Inventory(
            await opened.enter_async_context(
                surroundings.siblings.open(
                    "inventory",
                    caller=NAME,
                    api_key=settings.api_key.get_secret_value() if settings.api_key else None,
                )
            )
        )
        yield await _assembled(
            surroundings, settings, database=database, renewal=renewal, inventory=inventory
        )


async def _assembled(
    surroundings: Surroundings,
    settings: ProvisionerSettings,
    *,
    database: Database,
    renewal: Renewal,
    inventory: Inventory,
) -> Service:
    clock = surroundings.clock
    accesses = Accesses(surroundings.sealer, limits=_limits(settings), agent=settings.ssh_agent)
    means = Means(
        sealer=surroundings.sealer,
        renewal=renewal,
        accesses=accesses,
        wire=Handshakes(),
        schedule=Schedule(waits=durations(settings.retry_after), attempts=settings.attempts),
        verify_for=timedelta(seconds=settings.verify_timeout),
        start_for=timedelta(seconds=max(settings.start_timeout, settings.verify_timeout)),
    )
    work = Work(database, means=means, lease=timedelta(seconds=settings.lease), clock=clock)
    await work.forget_leases()
    lanes = deployment_lanes(work, clock=clock, parallel=settings.parallel)
    deployments = Deployments(database, ring=lanes.ring)
    key_work = KeyWork(
        database,
        renewal=renewal,
        accesses=accesses,
        schedule=means.schedule,
        lease=KEY_LEASE,
        clock=clock,
    )
    await key_work.forget_leases()
    keys = key_lanes(key_work, clock=clock, parallel=settings.parallel)
    bindings = Bindings(database, ring=lanes.ring)
    targets = Targets(database, accesses, ring=lanes.ring)
    proposals = Proposals(database, targets=targets, bindings=bindings, inventory=inventory)
    void_tokens = VoidTokens(database)
    reacts = (
        *reactions(deployments, proposals, KeyRequests(ring=keys.ring), clock=clock),
        void_tokens.reaction,
    )
    reactor = Reactor(database, surroundings.bus, reacts, clock=clock, backoff=surroundings.retry_after)
    actions = Actions(
        targets=targets,
        bindings=bindings,
        proposals=proposals,
        deployments=deployments,
    )
    api = create_api(
        name=NAME,
        summary="Puts certificates in place, and proves that they are there.",
        routers=[
            *routes(actions, once=Once(database, clock), clock=clock),
            dead_letter_routes(surroundings.bus, reactor.queue),
        ],
        verifier=surroundings.verifier.refusing(void_tokens),
    )
    return Service(
        name=NAME,
        api=api,
        database=database,
        queues=[reactor.queue],
        emits=EMITS,
        receives=[reaction.payload for reaction in reacts],
        jobs=[Relay(database, surroundings.bus).run, reactor.run, lanes.run, keys.run],
    )


def _limits(settings: ProvisionerSettings) -> Limits:
    return Limits(
        connect=timedelta(seconds=settings.connect_timeout),
        transfer=timedelta(seconds=settings.transfer_timeout),
        command=timedelta(seconds=settings.command_timeout),
    )
