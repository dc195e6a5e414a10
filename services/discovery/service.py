"""Discovery, assembled."""

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

from services.discovery.actions.accesses import Accesses
from services.discovery.actions.explanations import Explanations
from services.discovery.actions.log_reads import LogNetwork, LogReads, ReadingPace
from services.discovery.actions.planning import Planning
from services.discovery.actions.plans import Bounds
from services.discovery.actions.runs import Runs
from services.discovery.actions.scans import Pace, Scans
from services.discovery.actions.schedules import Schedules
from services.discovery.actions.secret_stores import SecretStores
from services.discovery.actions.source_groups import SourceGroups
from services.discovery.actions.source_runs import SourceRuns
from services.discovery.actions.source_watches import SourceWatches
from services.discovery.actions.sources import Sources
from services.discovery.actions.transparency import CtLogs
from services.discovery.actions.uploads import Uploads
from services.discovery.actions.watches import Watches
from services.discovery.actions.work import ScanWork
from services.discovery.api import routes
from services.discovery.connectors import Limits as SourceLimits
from services.discovery.connectors.network import Network
from services.discovery.connectors.resolve import resolve
from services.discovery.domain.looks import LookOptions
from services.discovery.events import EMITS, reactions
from services.discovery.scanner.pace import Sockets
from services.discovery.settings import DiscoverySettings
from services.discovery.store import Room, Table
from services.discovery.store.audited import AUDITED
from services.discovery.store.measured import measured
from services.discovery.workers import ct_logs, upkeep, watching
from services.discovery.workers import scans as scan_lanes
from services.discovery.workers import schedules as schedule_worker
from services.discovery.workers import source_watches as watch_lanes
from services.discovery.workers import sources as source_lanes
from shared.audit.keys import AuditKeys, audit_key_routes
from shared.audit.witness import Witness
from shared.dead_letters import dead_letter_routes
from shared.http import create_api
from shared.idempotency import Once
from shared.reactions import Reactor
from shared.service import Service, Surroundings
from shared.ssh import Reach
from shared.store import Database
from shared.store.migrate import Schema
from shared.store.outbox import Relay
from shared.tls import client_context
from shared.void_tokens import VoidTokens

NAME = "discovery"
SETTINGS = DiscoverySettings
SCHEMA = Schema(Table.metadata, Path(__file__).parent / "migrations")


@asynccontextmanager
async def build(surroundings: Surroundings) -> AsyncIterator[Service]:
    """Open what the service needs, put it together, and close it all at the end."""
    settings = surroundings.settings.load(SETTINGS, section=NAME)
    async with AsyncExitStack() as opened:
        database = surroundings.open_database(NAME, settings, audited=AUDITED)
        opened.push_async_callback(database.close)
        yield await _assembled(surroundings, settings, database=database)


async def _assembled(
    surroundings: Surroundings, settings: DiscoverySettings, *, database: Database
) -> Service:
    clock, sockets = surroundings.clock, Sockets()
    bounds = _bounds(settings, own=await _own_endpoints(surroundings, settings))

    def network(options: LookOptions) -> Network:
        return Network(options, sockets=sockets)

    def ring() -> None:
        lanes.ring()

    runs = Runs(database, bounds=bounds, open_prober=network, clock=clock, ring=ring)
    work = ScanWork(Planning(database, bounds=bounds, clock=clock, ring=ring), runs)
    if database.is_sqlite:
        await work.forget_leases()
    lanes = scan_lanes(work, clock=clock, parallel=settings.parallel)
    watches = Watches(
        database,
        source=network(LookOptions(timeout=timedelta(seconds=settings.timeout), limits=bounds.limits())),
        misses_until_lost=settings.misses_until_lost,
        clock=clock,
    )
    log_reads = _log_reads(surroundings, settings, database=database)
    await log_reads.forget_leases()
    scans = Scans(database, bounds=bounds, ring=ring)
    schedules = Schedules(database, scans=scans)
    accesses = Accesses(
        database,
        surroundings.sealer,
        limits=SourceLimits(
            connect=timedelta(seconds=settings.source_connect_timeout),
            command=timedelta(seconds=settings.source_timeout),
        ),
        policy=surroundings.outbound,
        reach=Reach(
            permits=bounds.limits().permits, settings="EVERLEAF_DISCOVERY_ALLOW or EVERLEAF_DISCOVERY_DENY"
        ),
        ssh_agent=settings.ssh_agent,
        pod_account=settings.pod_account,
    )
    source_runs = SourceRuns(
        database,
        accesses=accesses,
        clock=clock,
        lease=bounds.lease,
        misses_until_lost=settings.misses_until_lost,
        room=Room(per_host=settings.sources_per_host, per_network=settings.sources_per_network),
    )
    if database.is_sqlite:
        await source_runs.forget_leases()
    reading = source_lanes(source_runs, clock=clock, parallel=settings.sources_at_once)
    source_watches = SourceWatches(
        database, accesses=accesses, clock=clock, lease=bounds.lease, ring=reading.ring
    )
    if database.is_sqlite:
        await source_watches.forget_leases()
    listening = watch_lanes(source_watches, clock=clock, parallel=settings.source_watches_at_once)
    pace = Pace(
        timeout=settings.timeout,
        concurrency=settings.concurrency,
        per_host=settings.per_host,
        per_network=settings.per_network,
        rate=settings.rate,
    )
    void_tokens = VoidTokens(database)
    audit_keys = AuditKeys(database, surroundings.sealer)
    witness = Witness(audit_keys, clock=clock)
    reacts = (*reactions(watches, clock=clock), void_tokens.reaction, witness.reaction)
    reactor = Reactor(database, surroundings.bus, reacts, clock=clock, backoff=surroundings.retry_after)
    own_routes = routes(
        scans,
        schedules=schedules,
        sources=Sources(database, accesses, ring=reading.ring),
        uploads=Uploads(database, misses_until_lost=settings.misses_until_lost),
        groups=SourceGroups(database, accesses, ring=reading.ring),
        secret_stores=SecretStores(database, accesses),
        explanations=Explanations(database, bounds=bounds),
        logs=CtLogs(database),
        once=Once(database, clock),
        clock=clock,
        pace=pace,
    )
    api = create_api(
        name=NAME,
        summary="Finds every TLS certificate, and where it is.",
        routers=[
            own_routes,
            dead_letter_routes(surroundings.bus, reactor.queue, database),
            audit_key_routes(audit_keys),
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
        receives=[reaction.payload for reaction in reacts],
        jobs=[
            Relay(database, surroundings.bus).run,
            reactor.run,
            lanes.run,
            reading.run,
            listening.run,
            watching(watches, clock=clock).run,
            ct_logs(log_reads, clock=clock).run,
            schedule_worker(schedules, clock=clock).run,
            upkeep(runs, clock=clock).run,
        ],
    )


def _log_reads(surroundings: Surroundings, settings: DiscoverySettings, *, database: Database) -> LogReads:
    pace = ReadingPace(
        requests_per_second=settings.ct_requests_per_second, poll=timedelta(seconds=settings.ct_poll)
    )
    network = LogNetwork(policy=surroundings.outbound, tls=client_context())
    return LogReads(database, network=network, pace=pace, clock=surroundings.clock)


async def _own_endpoints(
    surroundings: Surroundings, settings: DiscoverySettings
) -> frozenset[tuple[str, int]]:
    """Return the addresses and ports that the platform runs on, as far as this process knows of them."""
    if settings.scan_own:
        return frozenset()
    hosts = [_reached_by(endpoint.host) for endpoint in surroundings.own_servers]
    found, _ = await resolve(hosts)
    return frozenset(
        (address, endpoint.port)
        for endpoint, host in zip(surroundings.own_servers, hosts, strict=True)
        for address in found.get(host, ())
    )


def _reached_by(host: str) -> str:
    """Return how a server that listens on a host is reached: one that listens everywhere, by this machine's name."""
    return socket.gethostname() if host in ("0.0.0.0", "::") else host  # noqa: S104 - nothing is bound here


def _bounds(settings: DiscoverySettings, *, own: frozenset[tuple[str, int]]) -> Bounds:
    return Bounds(
        own=own,
        allow=settings.allow,
        deny=settings.deny,
        max_targets=settings.max_targets,
        names_per_address=settings.names_per_address,
        misses_until_lost=settings.misses_until_lost,
        lease=timedelta(seconds=settings.lease),
        keep_results=timedelta(days=settings.keep_results),
    )
