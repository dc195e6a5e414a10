"""The provisioner, assembled."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

from services.provisioner.actions.accesses import Accesses
from services.provisioner.actions.approval_rules import ApprovalRules
from services.provisioner.actions.attempt import Means
from services.provisioner.actions.bindings import Bindings
from services.provisioner.actions.deployments import Deployments
from services.provisioner.actions.drifts import Drifts
from services.provisioner.actions.key_requests import KeyRequests
from services.provisioner.actions.key_work import KeyWork
from services.provisioner.actions.keys import OwnKey, sealing_public_key
from services.provisioner.actions.permits import Permits, WaitingDeployments
from services.provisioner.actions.plans import Plans
from services.provisioner.actions.policies import Policies
from services.provisioner.actions.proposals import Proposals
from services.provisioner.actions.pulls import Pulls, SlotMailbox
from services.provisioner.actions.rollouts import Rollouts, WaitingRollouts
from services.provisioner.actions.sending import Sending
from services.provisioner.actions.targets import Targets
from services.provisioner.actions.windows import Windows
from services.provisioner.actions.work import Work
from services.provisioner.api import Actions, routes
from services.provisioner.connectors import Limits
from services.provisioner.connectors.inventory import Inventory
from services.provisioner.connectors.renewal import Renewal
from services.provisioner.connectors.wire import Handshakes
from services.provisioner.domain import Schedule
from services.provisioner.domain.reach import Networks
from services.provisioner.events import EMITS, WORDS, Handlers, reactions
from services.provisioner.settings import ProvisionerSettings
from services.provisioner.store import Table
from services.provisioner.store.approvals import APPROVALS, Kind
from services.provisioner.store.audited import AUDITED
from services.provisioner.store.measured import measured
from services.provisioner.workers import Bell, others
from services.provisioner.workers import deployments as deployment_lanes
from services.provisioner.workers import key_requests as key_lanes
from shared.approvals.actions import Approvals, Patience
from shared.audit.keys import AuditKeys, audit_key_routes
from shared.audit.witness import Witness
from shared.dead_letters import dead_letter_routes
from shared.http import create_api
from shared.idempotency import Once
from shared.reactions import Reactor
from shared.service import Service, Surroundings
from shared.settings import durations
from shared.ssh import Reach
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
        database = surroundings.open_database(NAME, settings, audited=AUDITED)
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
    accesses = _accesses(surroundings, settings, database=database)
    means = Means(
        sealer=surroundings.sealer,
        own_key=OwnKey(database, surroundings.sealer),
        renewal=renewal,
        accesses=accesses,
        wire=Handshakes(),
        schedule=Schedule(waits=durations(settings.retry_after), attempts=settings.attempts),
        verify_for=timedelta(seconds=settings.verify_timeout),
        start_for=timedelta(seconds=max(settings.start_timeout, settings.verify_timeout)),
        watch_for=timedelta(seconds=settings.watch),
        watch_every=timedelta(seconds=settings.watch_every),
        look_every=timedelta(seconds=settings.look_every) if settings.look_every else None,
    )
    bell = Bell()
    approvals = Approvals(
        database,
        store=APPROVALS,
        words=WORDS,
        subjects={
            Kind.ROLLOUT: WaitingRollouts(bell.ring),
            Kind.DEPLOYMENTS: WaitingDeployments(bell.ring),
        },
        patience=Patience(
            timeout=timedelta(seconds=settings.approval_timeout),
            reminder=timedelta(seconds=settings.approval_reminder),
        ),
    )
    rollouts = Rollouts(database, approvals=approvals, ring=bell.ring)
    work = Work(
        database,
        means=means,
        rollouts=rollouts,
        permits=Permits(approvals),
        lease=timedelta(seconds=settings.lease),
        clock=clock,
        per_network=settings.parallel_per_network,
    )
    await work.forget_leases()
    lanes = deployment_lanes(work, clock=clock, parallel=settings.parallel)
    bell.rings(lanes.ring)
    sending = Sending(rollouts)
    drifts = Drifts(database, wire=means.wire, every=means.look_every, ring=lanes.ring)
    deployments = Deployments(database, sending=sending, ring=lanes.ring)
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
    bindings = Bindings(database, sending=sending, ring=lanes.ring)
    targets = Targets(database, accesses, ring=lanes.ring)
    proposals = Proposals(database, targets=targets, bindings=bindings, inventory=inventory)
    void_tokens = VoidTokens(database)
    audit_keys = AuditKeys(database, surroundings.sealer)
    reacts = (
        *reactions(
            Handlers(
                deployments=deployments,
                proposals=proposals,
                key_requests=KeyRequests(ring=keys.ring),
                drifts=drifts,
                approvals=approvals,
                clock=clock,
            )
        ),
        void_tokens.reaction,
        Witness(audit_keys, clock=clock).reaction,
    )
    reactor = Reactor(database, surroundings.bus, reacts, clock=clock, backoff=surroundings.retry_after)
    actions = Actions(
        targets=targets,
        bindings=bindings,
        proposals=proposals,
        deployments=deployments,
        pulls=Pulls(database, surroundings.sealer, ring=lanes.ring, clock=clock),
        plans=Plans(database),
        policies=Policies(database),
        rollouts=rollouts,
        approval_rules=ApprovalRules(database, approvals=approvals, ring=lanes.ring),
        windows=Windows(database, ring=lanes.ring),
        approvals=approvals,
    )
    api = create_api(
        name=NAME,
        summary="Puts certificates in place, and proves that they are there.",
        routers=[
            *routes(actions, once=Once(database, clock), clock=clock),
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
            keys.run,
            *(worker.run for worker in others(rollouts, drifts, approvals, clock=clock)),
        ],
    )


def _accesses(surroundings: Surroundings, settings: ProvisionerSettings, *, database: Database) -> Accesses:
    def mailbox(target_id: str) -> SlotMailbox:
        return SlotMailbox(database, surroundings.sealer, target_id=target_id, clock=surroundings.clock)

    networks = Networks(allow=settings.allow, deny=settings.deny)
    return Accesses(
        surroundings.sealer,
        limits=_limits(settings),
        policy=surroundings.outbound,
        reach=Reach(
            permits=networks.permits, settings="EVERLEAF_PROVISIONER_ALLOW or EVERLEAF_PROVISIONER_DENY"
        ),
        agent=settings.ssh_agent,
        pod_account=settings.pod_account,
        mailbox=mailbox,
    )


def _limits(settings: ProvisionerSettings) -> Limits:
    return Limits(
        connect=timedelta(seconds=settings.connect_timeout),
        transfer=timedelta(seconds=settings.transfer_timeout),
        command=timedelta(seconds=settings.command_timeout),
    )
