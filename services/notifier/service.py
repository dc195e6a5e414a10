"""The notifier, assembled."""

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from services.notifier.actions.alerts import Alerts
from services.notifier.actions.catching_up import CatchingUp
from services.notifier.actions.changes import Changes
from services.notifier.actions.channels import Channels
from services.notifier.actions.deliveries import Deliveries, Schedule
from services.notifier.actions.digests import Digests
from services.notifier.actions.handing_over import HandingOver
from services.notifier.actions.hooks import Hooks
from services.notifier.actions.logs import Logs
from services.notifier.actions.pursuits import Pursuits
from services.notifier.actions.report_schedules import ReportSchedules
from services.notifier.actions.reports import Reports
from services.notifier.actions.rules import Rules
from services.notifier.actions.streams import Streams
from services.notifier.actions.subscriptions import Subscriptions
from services.notifier.actions.thresholds import Thresholds
from services.notifier.actions.tickets import Tickets
from services.notifier.actions.trail import Trail
from services.notifier.actions.trail_keys import TrailKeys
from services.notifier.actions.trail_watch import TrailWatch
from services.notifier.api.alerts import alert_routes
from services.notifier.api.changes import change_routes
from services.notifier.api.channels import channel_kind_routes, channel_routes
from services.notifier.api.deliveries import delivery_routes
from services.notifier.api.hooks import hook_routes
from services.notifier.api.mib import mib_routes
from services.notifier.api.replays import replay_routes
from services.notifier.api.reports import report_routes, report_schedule_routes
from services.notifier.api.rules import rule_routes
from services.notifier.api.streams import stream_routes
from services.notifier.api.subscriptions import subscription_routes
from services.notifier.api.tickets import ticket_routes
from services.notifier.api.trail import trail_routes
from services.notifier.connectors import Network
from services.notifier.connectors.clients import Clients
from services.notifier.connectors.consumers.queue import Broker
from services.notifier.connectors.estate import Estate
from services.notifier.events import EMITS, kept_reactions, reactions, trail_reactions
from services.notifier.settings import NotifierSettings
from services.notifier.store import Table
from services.notifier.store.audited import AUDITED
from services.notifier.store.measured import measured
from services.notifier.workers import Clerk, Postman, forgetting, subscription_lanes, trail_workers, workers
from shared.dead_letters import dead_letter_routes
from shared.http import Routes, create_api
from shared.idempotency import Once
from shared.reactions import Reaction, Reactor
from shared.service import Service, Surroundings
from shared.settings import durations
from shared.store import Database
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
    async with AsyncExitStack() as opened:
        database = surroundings.open_database(NAME, settings, audited=AUDITED)
        opened.push_async_callback(database.close)
        key = settings.api_key.get_secret_value() if settings.api_key else None
        siblings = {
            name: await opened.enter_async_context(surroundings.siblings.open(name, caller=NAME, api_key=key))
            for name in ("inventory", "renewal", "provisioner")
        }
        clients = Clients(surroundings.outbound)
        opened.push_async_callback(clients.close)
        network = Network(policy=surroundings.outbound, tls=client_context(), clients=clients)
        yield _assembled(
            surroundings, settings, database=database, estate=Estate(**siblings), network=network
        )


def _assembled(
    surroundings: Surroundings,
    settings: NotifierSettings,
    *,
    database: Database,
    estate: Estate,
    network: Network,
) -> Service:
    clock = surroundings.clock
    alerts, rules, thresholds = Alerts(database), Rules(database), Thresholds(database)
    channels = Channels(database, sealer=surroundings.sealer, network=network, portal_url=settings.portal_url)
    deliveries = Deliveries(
        database, channels=channels, schedule=_schedule(settings), portal_url=settings.portal_url
    )
    reports = Reports(database, estate=estate)
    schedules = ReportSchedules(database, reports=reports, channels=channels)
    void_tokens = VoidTokens(database)
    logs = Logs(database, clock=clock)
    trail = _trail(surroundings, settings, database, logs)
    consumers = _consumers(surroundings, settings, database, logs, network=network)
    table = (*reactions(alerts, thresholds, clock=clock), void_tokens.reaction, *trail.reactions)
    table = (*table, *kept_reactions(table))
    reactor = Reactor(
        database,
        surroundings.bus,
        table,
        clock=clock,
        backoff=surroundings.retry_after,
        before=logs.keep,
    )
    every = timedelta(seconds=settings.poll)
    postman = Postman(deliveries, clock=clock, parallel=settings.parallel, every=every)
    look_every = timedelta(seconds=settings.ticket_poll)
    tickets = Tickets(database, channels=channels, every=look_every)
    clerk = Clerk(tickets, clock=clock, every=look_every)
    by_the_clock = workers(
        thresholds=thresholds,
        pursuits=Pursuits(database),
        digests=Digests(database),
        schedules=schedules,
        clock=clock,
    )
    once = Once(database, clock)
    api = create_api(
        name=NAME,
        summary="Who must know: alerts, the channels they are told through, what was delivered, reports, and the audit trail.",
        routers=[
            alert_routes(alerts, clock=clock),
            change_routes(Changes(logs), clock=clock),
            channel_routes(channels, once=once, clock=clock),
            channel_kind_routes(),
            rule_routes(rules, once=once, clock=clock),
            replay_routes(deliveries, CatchingUp(database, channels), clock=clock),
            delivery_routes(deliveries, clock=clock),
            ticket_routes(tickets),
            mib_routes(),
            report_routes(reports, clock=clock),
            report_schedule_routes(schedules, once=once, clock=clock),
            hook_routes(Hooks(database, sealer=surroundings.sealer), once=once, clock=clock),
            *trail.routes,
            *consumers.routes,
            dead_letter_routes(surroundings.bus, reactor.queue, database),
        ],
        verifier=surroundings.verifier.refusing(void_tokens),
    )
    return Service(
        name=NAME,
        api=api,
        database=database,
        schema=SCHEMA,
        measured=measured,
        queues=[reactor.queue],
        emits=EMITS,
        receives=[reaction.payload for reaction in table],
        jobs=[
            Relay(database, surroundings.bus).run,
            reactor.run,
            postman.run,
            clerk.run,
            *(worker.run for worker in by_the_clock),
            *trail.jobs,
            *consumers.jobs,
        ],
    )


@dataclass(frozen=True, kw_only=True)
class _Part:
    """What belongs together: routes, what is done on events, and by the clock."""

    routes: Sequence[Routes]
    reactions: Sequence[Reaction[Any]] = ()
    jobs: Sequence[Callable[[], Coroutine[Any, Any, None]]]


def _trail(surroundings: Surroundings, settings: NotifierSettings, database: Database, logs: Logs) -> _Part:
    clock = surroundings.clock
    keys = TrailKeys(database, surroundings.sealer)
    watch = TrailWatch(database, keys)
    trail = Trail(
        database,
        keys,
        kept_for=timedelta(days=settings.audit_keep_days),
        ring=logs.ring,
    )
    every = timedelta(seconds=settings.audit_checkpoint_every)
    return _Part(
        routes=[trail_routes(trail, clock=clock)],
        reactions=trail_reactions(trail, watch, clock=clock),
        jobs=[worker.run for worker in trail_workers(trail, watch, every=every, clock=clock)],
    )


def _consumers(
    surroundings: Surroundings,
    settings: NotifierSettings,
    database: Database,
    logs: Logs,
    *,
    network: Network,
) -> _Part:
    clock, sealer = surroundings.clock, surroundings.sealer
    subscriptions = Subscriptions(
        database,
        logs,
        sealer=sealer,
        network=network,
        broker=_broker(settings, network),
        broker_url=settings.consumer_url,
    )
    handing_over = HandingOver(
        database, logs, bus=surroundings.bus, sealer=sealer, network=network, clock=clock
    )
    lanes = subscription_lanes(handing_over, parallel=settings.subscriptions_at_once, clock=clock)

    async def serve() -> None:
        await handing_over.recover()
        await lanes.run()

    kept_for = timedelta(days=settings.events_keep_days)
    return _Part(
        routes=[
            subscription_routes(subscriptions, clock=clock),
            stream_routes(Streams(database, sealer=sealer, network=network), clock=clock),
        ],
        jobs=[serve, forgetting(logs, kept_for=kept_for, clock=clock).run],
    )


def _broker(settings: NotifierSettings, network: Network) -> Broker | None:
    if settings.broker_api_url is None or settings.consumer_url is None:
        return None
    return Broker(
        settings.broker_api_url,
        vhost=unquote(urlsplit(settings.consumer_url).path.removeprefix("/")),
        user=settings.broker_api_user or "",
        password=settings.broker_api_password or SecretStr(""),
        network=replace(network, tls=client_context(settings.broker_api_tls_ca)),
    )


def _schedule(settings: NotifierSettings) -> Schedule:
    return Schedule(
        waits=durations(settings.retry_after),
        report_after=settings.report_after,
        lease=timedelta(seconds=settings.lease),
    )
