"""The notifier, assembled."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from services.notifier.actions.alerts import Alerts
from services.notifier.actions.channels import Channels
from services.notifier.actions.deliveries import Deliveries, Schedule
from services.notifier.actions.hooks import Hooks
from services.notifier.actions.rules import Rules
from services.notifier.api.alerts import alert_routes
from services.notifier.api.channels import channel_routes
from services.notifier.api.deliveries import delivery_routes
from services.notifier.api.hooks import hook_routes
from services.notifier.api.rules import rule_routes
from services.notifier.connectors import Network
from services.notifier.events import EMITS, reactions
from services.notifier.settings import NotifierSettings
from services.notifier.store import Table
from services.notifier.workers import Postman
from shared.dead_letters import dead_letter_routes
from shared.http import create_api
from shared.idempotency import Once
from shared.reactions import Reactor
from shared.service import Service, Surroundings
from shared.settings import durations
from shared.store.migrate import Schema
from shared.store.outbox import Relay
from shared.tls import client_context
from shared.void_tokens import VoidTokens

NAME = "notifier"
SETTINGS = NotifierSettings
SCHEMA = Schema(Table.metadata, Path(__file__).parent / "migrations")


@asynccontextmanager
async def build(surroundings: Surroundings) -> AsyncIterator[Service]:
    """Open what the notifier needs, assemble it, and close it all at the end."""
    settings = surroundings.settings.load(SETTINGS, section=NAME)
    clock = surroundings.clock
    database = surroundings.open_database(NAME, settings)
    try:
        alerts, rules = Alerts(database), Rules(database)
        channels = Channels(
            database,
            sealer=surroundings.sealer,
            network=Network(policy=surroundings.outbound, tls=client_context()),
            portal_url=settings.portal_url,
        )
        deliveries = Deliveries(
            database, channels=channels, schedule=_schedule(settings), portal_url=settings.portal_url
        )
        void_tokens = VoidTokens(database)
        table = (*reactions(alerts, clock=clock), void_tokens.reaction)
        reactor = Reactor(database, surroundings.bus, table, clock=clock, backoff=surroundings.retry_after)
        every = timedelta(seconds=settings.poll)
        postman = Postman(deliveries, clock=clock, parallel=settings.parallel, every=every)
        once = Once(database, clock)
        api = create_api(
            name=NAME,
            summary="Who must know: alerts, the channels they are told through, and what was delivered.",
            routers=[
                alert_routes(alerts, clock=clock),
                channel_routes(channels, once=once, clock=clock),
                rule_routes(rules, once=once, clock=clock),
                delivery_routes(deliveries, clock=clock),
                hook_routes(Hooks(database, sealer=surroundings.sealer), once=once, clock=clock),
                dead_letter_routes(surroundings.bus, reactor.queue),
            ],
            verifier=surroundings.verifier.refusing(void_tokens),
        )
        yield Service(
            name=NAME,
            api=api,
            database=database,
            queues=[reactor.queue],
            emits=EMITS,
            receives=[reaction.payload for reaction in table],
            jobs=[Relay(database, surroundings.bus).run, reactor.run, postman.run],
        )
    finally:
        await database.close()


def _schedule(settings: NotifierSettings) -> Schedule:
    return Schedule(
        waits=durations(settings.retry_after),
        report_after=settings.report_after,
        lease=timedelta(seconds=settings.lease),
    )
