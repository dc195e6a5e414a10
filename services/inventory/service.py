"""The inventory, assembled."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

from services.inventory.actions.access import Access
from services.inventory.actions.arrangements import Arrangements
from services.inventory.actions.assessing import Assessing
from services.inventory.actions.assessments import Assessments
from services.inventory.actions.assignments import Assignments
from services.inventory.actions.associating import Associating
from services.inventory.actions.cbom import Cbom
from services.inventory.actions.chains import Chains
from services.inventory.actions.comparisons import Comparisons
from services.inventory.actions.crossings import Crossings
from services.inventory.actions.edits import Edits
from services.inventory.actions.exceptions import Exceptions
from services.inventory.actions.fields import Fields
from services.inventory.actions.first_start import FirstStart
from services.inventory.actions.forecast import Forecasts
from services.inventory.actions.groups import Groups
from services.inventory.actions.holding import hold_all
from services.inventory.actions.judgements import Judgements
from services.inventory.actions.linting import Linting
from services.inventory.actions.observations import Observations
from services.inventory.actions.policies import Policies
from services.inventory.actions.previews import Previews
from services.inventory.actions.principals import Principals
from services.inventory.actions.reading import Reading
from services.inventory.actions.regrouping import Regrouping
from services.inventory.actions.relations import Relations
from services.inventory.actions.renewals import Renewals
from services.inventory.actions.replacements import Replacements
from services.inventory.actions.revocations import Revocations
from services.inventory.actions.saved_queries import SavedQueries
from services.inventory.actions.searching import Searching
from services.inventory.actions.signing_in import Provider, SigningIn
from services.inventory.actions.summaries import Summaries
from services.inventory.actions.teams import Teams
from services.inventory.actions.unowned import Unowned
from services.inventory.api import assessing_routes, routes
from services.inventory.api.organising import Organising
from services.inventory.connectors import policy_files
from services.inventory.connectors.credential_files import CredentialFiles
from services.inventory.connectors.openid import Client, OpenIdProvider
from services.inventory.connectors.trust_stores import read_trust_stores
from services.inventory.domain.credentials import SERVICES
from services.inventory.events import EMITS, reactions
from services.inventory.settings import InventorySettings
from services.inventory.store.audited import AUDITED
from services.inventory.store.measured import measured
from services.inventory.store.tables import Table
from services.inventory.workers import judges, workers
from shared.audit.keys import AuditKeys, audit_key_routes
from shared.audit.witness import Witness
from shared.dead_letters import dead_letter_routes
from shared.http import create_api
from shared.idempotency import Once
from shared.outbound import guarded_client
from shared.reactions import Reactor
from shared.revocation.published import Authorities
from shared.service import Service, Surroundings, Worker
from shared.settings import ServiceSettings, SettingsSource
from shared.store import Database
from shared.store.migrate import Schema
from shared.store.outbox import Relay
from shared.tls import client_context
from shared.void_tokens import VoidTokens

NAME = "inventory"
SETTINGS = InventorySettings
SCHEMA = Schema(Table.metadata, Path(__file__).parent / "migrations")
AT_ONCE = 250
"""Events that are taken in together where they tell something new: each holds up to four locks until all are written."""
ABREAST = 2
"""Of those at a time, on PostgreSQL: while it writes the one, the other is worked out."""
_PACE = timedelta(milliseconds=100)
"""Between two questions to the same host."""


def batch_for(database: Database) -> int:
    """Return how many events are taken from the bus at once: sets are cheaper the larger they are, but SQLite has one writer."""
    return 100 if database.is_sqlite else 1_000


@asynccontextmanager
async def build(surroundings: Surroundings) -> AsyncIterator[Service]:
    """Open what the service needs, make what the first start makes, and close it all at the end."""
    settings = surroundings.settings.load(SETTINGS, section=NAME)
    async with AsyncExitStack() as opened:
        database = surroundings.open_database(NAME, settings, audited=AUDITED)
        opened.push_async_callback(database.close)
        provider = _provider(surroundings, settings)
        if provider is not None:
            opened.push_async_callback(provider.openid.close)
        yield await _assembled(surroundings, settings, database=database, provider=provider)


async def _assembled(
    surroundings: Surroundings,
    settings: InventorySettings,
    *,
    database: Database,
    provider: Provider | None,
) -> Service:
    clock = surroundings.clock
    crossings = Crossings(database, limits=settings.limits())
    replacements = Replacements(database, stale_after=timedelta(seconds=settings.stale_after))
    access = Access(
        database,
        sealer=surroundings.sealer,
        issuer=surroundings.token_issuer,
        token_lifetime=timedelta(seconds=settings.token_lifetime),
    )
    void_tokens = VoidTokens(database)
    principals = Principals(database, void_tokens)
    signing_in = SigningIn(
        database,
        provider,
        access=access,
        principals=principals,
        sealer=surroundings.sealer,
        session_lifetime=timedelta(seconds=settings.session_lifetime),
        token_lifetime=timedelta(seconds=settings.token_lifetime),
    )
    first_start = FirstStart(
        database,
        access,
        CredentialFiles(surroundings.data_dir),
        given=_given_keys(surroundings.settings),
    )
    await first_start.prepare(clock())
    assessing = Assessing(database, timelines=policy_files.timelines())
    policies = Policies(database, builtin=policy_files.documents())
    await policies.prepare(now=clock())
    audit_keys = AuditKeys(database, surroundings.sealer)
    reacts = (
        *reactions(
            Observations(
                replacements=replacements, crossings=crossings, comparisons=Comparisons(), assessing=assessing
            ),
            Renewals(replacements=replacements, crossings=crossings),
            clock=clock,
        ),
        Witness(audit_keys, clock=clock).reaction,
    )
    reactor = Reactor(
        database,
        surroundings.bus,
        reacts,
        clock=clock,
        backoff=surroundings.retry_after,
        batch=batch_for(database),
        at_once=AT_ONCE,
        abreast=1 if database.is_sqlite else ABREAST,
        before=hold_all,
    )
    organising = _organising(database, settings)
    summaries = Summaries(database)
    by_the_clock = workers(
        crossings=crossings,
        replacements=replacements,
        associating=Associating(database),
        access=access,
        first_start=first_start,
        signing_in=signing_in,
        regrouping=Regrouping(database),
        groups=organising.groups,
        edits=organising.edits,
        unowned=Unowned(database, patience=timedelta(seconds=settings.unowned_after)),
        assessing=assessing,
        summaries=summaries,
        clock=clock,
    )
    once = Once(database, clock)
    api = create_api(
        name=NAME,
        summary="Knows every certificate, where it is, how urgent it is, who owns it, and who may ask.",
        routers=[
            *routes(
                Reading(database),
                access,
                principals,
                signing_in,
                organising,
                summaries=summaries,
                judgements=Judgements(database),
                forecasts=Forecasts(database, limits=settings.limits()),
                searching=Searching(database),
                saved_queries=SavedQueries(database),
                arrangements=Arrangements(database),
                relations=Relations(database),
                cbom=Cbom(database),
                once=once,
                clock=clock,
            ),
            *assessing_routes(
                Assessments(database),
                policies,
                Previews(database),
                Exceptions(database),
                once=once,
                clock=clock,
            ),
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
            *(worker.run for worker in by_the_clock),
            *(worker.run for worker in _judges(surroundings, settings, database, assessing)),
        ],
    )


def _given_keys(settings: SettingsSource) -> dict[str, str]:
    """Return the API keys that the settings hold for the other services, where they are told to this process too."""
    sections = {each.name: settings.load(ServiceSettings, section=each.name) for each in SERVICES}
    return {name: own.api_key.get_secret_value() for name, own in sections.items() if own.api_key is not None}


def _provider(surroundings: Surroundings, settings: InventorySettings) -> Provider | None:
    if settings.oidc_issuer is None or settings.oidc_client_secret is None:
        return None
    us = Client(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id or "",
        client_secret=settings.oidc_client_secret.get_secret_value(),
        redirect_uri=settings.oidc_redirect_uri or "",
        scopes=settings.oidc_scopes,
    )
    http = guarded_client(surroundings.outbound, tls=client_context(settings.oidc_tls_ca))
    return Provider(openid=OpenIdProvider(us, http), claim=settings.oidc_claim, rules=settings.rights_rules())


def _organising(database: Database, settings: InventorySettings) -> Organising:
    return Organising(
        teams=Teams(database),
        groups=Groups(database, again_after=timedelta(seconds=settings.reevaluate_after)),
        fields=Fields(database),
        assignments=Assignments(database),
        edits=Edits(database),
    )


def _judges(
    surroundings: Surroundings, settings: InventorySettings, database: Database, assessing: Assessing
) -> Sequence[Worker]:
    authorities = Authorities(surroundings.outbound, pace=_PACE)
    within = timedelta(seconds=settings.revocation_within)
    return judges(
        chains=Chains(
            database,
            stores=read_trust_stores(public=settings.trust_store, own=settings.trust_own),
            fetches=authorities if settings.fetch_issuers else None,
            assessing=assessing,
        ),
        linting=Linting(database) if settings.lint else None,
        revocations=Revocations(database, authorities, within=within, assessing=assessing)
        if settings.ask_revocation
        else None,
        clock=surroundings.clock,
    )
