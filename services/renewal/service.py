"""Renewal, assembled."""

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx

from services.renewal import workers
from services.renewal.actions.account_keys import AccountKeys
from services.renewal.actions.adoptions import Adoptions
from services.renewal.actions.authorities import Authorities
from services.renewal.actions.budgets import Budgets
from services.renewal.actions.campaign_approvals import CampaignGate, WaitingCampaigns
from services.renewal.actions.campaign_plans import CampaignPlans
from services.renewal.actions.campaign_runs import CampaignRuns
from services.renewal.actions.campaigns import Campaigns
from services.renewal.actions.certificates import Certificates
from services.renewal.actions.challenges import Challenges, TlsChallenges
from services.renewal.actions.distrusts import Distrusts
from services.renewal.actions.enrolments import Enrolments
from services.renewal.actions.evidence import Evidence
from services.renewal.actions.keys import Keys
from services.renewal.actions.means import Means
from services.renewal.actions.order_approvals import OrderGate, WaitingOrders
from services.renewal.actions.orders import Orders
from services.renewal.actions.profiles import Profiles
from services.renewal.actions.publications import Publications
from services.renewal.actions.requests import Requests
from services.renewal.actions.revocations import Revocations, WaitingRevocations
from services.renewal.actions.revoking import Revoking
from services.renewal.actions.schedules import Schedules
from services.renewal.actions.token_keys import TokenKeys
from services.renewal.actions.validation import Validator
from services.renewal.actions.windows import Windows
from services.renewal.actions.work import Work
from services.renewal.api import Actions, routes
from services.renewal.connectors import Network, http01, tls_alpn01
from services.renewal.connectors.inventory import Inventory
from services.renewal.connectors.log_list import LogListFile
from services.renewal.connectors.provisioner import Provisioner
from services.renewal.connectors.revocation import Lookout
from services.renewal.domain.approvals import Kind
from services.renewal.domain.orders import Schedule
from services.renewal.events import EMITS, WORDS, reactions
from services.renewal.settings import RenewalSettings
from services.renewal.store import APPROVALS, Table
from services.renewal.store.audited import AUDITED
from services.renewal.store.measured import measured
from services.renewal.workers import APPROVALS_EVERY, DELETE_EVERY, Bell
from shared.approvals.actions import Approvals, Patience, Subject
from shared.audit.keys import AuditKeys, audit_key_routes
from shared.audit.witness import Witness
from shared.dead_letters import dead_letter_routes
from shared.http import create_api
from shared.idempotency import Once
from shared.reactions import Reactor
from shared.revocation.published import Authorities as Published
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
        database = surroundings.open_database(NAME, settings, audited=AUDITED)
        opened.push_async_callback(database.close)
        api_key = settings.api_key.get_secret_value() if settings.api_key else None

        async def ask(name: str) -> httpx.AsyncClient:
            asking = surroundings.siblings.open(name, caller=NAME, api_key=api_key)
            return await opened.enter_async_context(asking)

        yield await _assembled(
            surroundings,
            settings,
            database=database,
            inventory=Inventory(await ask("inventory")),
            provisioner=Provisioner(await ask("provisioner")),
            tls=client_context(),
        )


async def _assembled(
    surroundings: Surroundings,
    settings: RenewalSettings,
    *,
    database: Database,
    inventory: Inventory,
    provisioner: Provisioner,
    tls: ssl.SSLContext,
) -> Service:
    clock, sealer = surroundings.clock, surroundings.sealer
    challenges, tls_challenges = Challenges(database, clock=clock), TlsChallenges(database, clock=clock)
    http01_at, tls_alpn01_at = settings.http01_address(), settings.tls_alpn01_address()
    network = Network(
        policy=surroundings.outbound,
        tls=tls,
        http01=challenges if http01_at else None,
        tls_alpn01=tls_challenges if tls_alpn01_at else None,
        commands=settings.commands,
        token=surroundings.token,
    )
    authorities = Authorities(database, sealer=sealer, network=network, public_url=settings.public_url)
    bell, revoking_bell, campaign_bell = Bell(), Bell(), Bell()
    subjects: dict[str, Subject] = {
        Kind.ORDER: WaitingOrders(bell.ring),
        Kind.REVOCATION: WaitingRevocations(revoking_bell.ring),
        Kind.CAMPAIGN: WaitingCampaigns(campaign_bell.ring),
    }
    approvals = Approvals(
        database, store=APPROVALS, words=WORDS, subjects=subjects, patience=_patience(settings)
    )
    lookout = Lookout(Published(surroundings.outbound, pace=timedelta(seconds=0.1)))
    means = Means(
        sealer=sealer,
        authorities=authorities,
        schedule=Schedule(durations(settings.retry_after)),
        gate=OrderGate(approvals),
        validator=Validator(
            lookout, logs=LogListFile(settings.ct_log_list) if settings.ct_log_list else None
        ),
        token=surroundings.token,
        request_timeout=timedelta(seconds=settings.request_timeout),
    )
    work = Work(database, means=means, lease=timedelta(seconds=settings.lease), clock=clock)
    await work.forget_leases()
    lanes = workers.orders(work, clock=clock, parallel=settings.parallel)
    bell.rings(lanes.ring)
    revoking = Revoking(
        database,
        means=means,
        lookout=lookout,
        lease=timedelta(seconds=settings.lease),
        clock=clock,
    )
    await revoking.forget_leases()
    revocation_lanes = workers.revocations(revoking, clock=clock, parallel=settings.parallel)
    revoking_bell.rings(revocation_lanes.ring)
    revocations = Revocations(
        database,
        approvals=approvals,
        approvals_needed=settings.revocation_approvals,
        replaced_after=timedelta(seconds=settings.revoke_replaced_after),
        ring=revocation_lanes.ring,
    )
    campaigns = Campaigns(
        database,
        gate=CampaignGate(approvals, needed=settings.campaign_approvals),
        ring=campaign_bell.ring,
    )
    campaign_workers = workers.campaigns(
        CampaignPlans(database, inventory=inventory, provisioner=provisioner),
        CampaignRuns(database, revocations=revocations, ring=lanes.ring),
        clock=clock,
    )
    campaign_bell.rings(*(worker.ring for worker in campaign_workers))
    orders = Orders(database, ring=lanes.ring)
    schedules = Schedules(database, orders)
    enrolments = Enrolments(database, orders, schedules)
    void_tokens = VoidTokens(database)
    audit_keys = AuditKeys(database, sealer)
    reacts = (
        *reactions(enrolments, schedules, approvals, revocations, clock=clock),
        void_tokens.reaction,
        Witness(audit_keys, clock=clock).reaction,
    )
    reactor = Reactor(database, surroundings.bus, reacts, clock=clock, backoff=surroundings.retry_after)
    keys = Keys(database, sealer=sealer, retention=timedelta(seconds=settings.key_retention))
    reminders = Worker("approvals", approvals.look_at_due, clock=clock, every=APPROVALS_EVERY)
    token_keys = (
        [
            Worker(
                "keys in the token",
                TokenKeys(database, surroundings.token).sweep,
                clock=clock,
                every=DELETE_EVERY,
            )
        ]
        if surroundings.token is not None
        else []
    )
    deletion = Worker("old keys", keys.delete_old, clock=clock, every=DELETE_EVERY)
    profiles = Profiles(database, authorities)
    budgets = Budgets(database)
    timers = workers.schedules(
        due=schedules.order_due,
        retime=schedules.retime,
        ask=Certificates(database, inventory=inventory, schedules=schedules).ask,
        look=Windows(database, authorities=authorities, schedules=schedules).look,
        clock=clock,
    )
    timers.append(Worker("old budgets", budgets.forget, clock=clock, every=DELETE_EVERY))
    actions = Actions(
        authorities=authorities,
        budgets=budgets,
        account_keys=AccountKeys(database, authorities),
        profiles=profiles,
        enrolments=enrolments,
        schedules=schedules,
        distrusts=Distrusts(database),
        adoptions=Adoptions(database, inventory=inventory, profiles=profiles, enrolments=enrolments),
        orders=orders,
        keys=keys,
        requests=Requests(database, ring=lanes.ring),
        approvals=approvals,
        revocations=revocations,
        publications=Publications(database, authorities, sealer=sealer),
        campaigns=campaigns,
        evidence=Evidence(database, campaigns, sealer=sealer),
    )
    api = create_api(
        name=NAME,
        summary="Obtains certificates, and keeps their private keys.",
        routers=[
            *routes(actions, once=Once(database, clock), clock=clock),
            dead_letter_routes(surroundings.bus, reactor.queue, database),
            audit_key_routes(audit_keys),
        ],
        verifier=surroundings.verifier.refusing(void_tokens),
    )
    listeners = [http01.Listener(*http01_at, find=challenges.find).run] if http01_at else []
    if tls_alpn01_at:
        listeners.append(tls_alpn01.Listener(*tls_alpn01_at, find=tls_challenges.find).run)
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
            deletion.run,
            *(worker.run for worker in token_keys),
            reminders.run,
            revocation_lanes.run,
            *(worker.run for worker in campaign_workers),
            *(timer.run for timer in timers),
            *listeners,
        ],
    )


def _patience(settings: RenewalSettings) -> Patience:
    return Patience(
        timeout=timedelta(seconds=settings.approval_timeout),
        reminder=timedelta(seconds=settings.approval_reminder),
    )
