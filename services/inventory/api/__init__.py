"""The inventory's HTTP door: certificates, lineages, places, replacements, questions, who owns what, and who may ask."""

from services.inventory.actions.access import Access
from services.inventory.actions.arrangements import Arrangements
from services.inventory.actions.assessments import Assessments
from services.inventory.actions.cbom import Cbom
from services.inventory.actions.exceptions import Exceptions
from services.inventory.actions.forecast import Forecasts
from services.inventory.actions.judgements import Judgements
from services.inventory.actions.policies import Policies
from services.inventory.actions.previews import Previews
from services.inventory.actions.principals import Principals
from services.inventory.actions.reading import Reading
from services.inventory.actions.relations import Relations
from services.inventory.actions.saved_queries import SavedQueries
from services.inventory.actions.searching import Searching
from services.inventory.actions.signing_in import SigningIn
from services.inventory.actions.summaries import Summaries
from services.inventory.api.access import access_routes
from services.inventory.api.arrangements import arrangement_routes
from services.inventory.api.assessments import assessment_routes
from services.inventory.api.cbom import cbom_routes
from services.inventory.api.certificates import certificate_routes
from services.inventory.api.devices import device_routes
from services.inventory.api.exceptions import exception_routes
from services.inventory.api.forecast import forecast_routes
from services.inventory.api.histories import history_routes
from services.inventory.api.holdings import holding_routes
from services.inventory.api.issuers import issuer_routes
from services.inventory.api.judgements import judgement_routes
from services.inventory.api.keys import key_routes
from services.inventory.api.lineages import lineage_routes
from services.inventory.api.oauth import oauth_routes
from services.inventory.api.organising import Organising, organising_routes
from services.inventory.api.places import place_routes
from services.inventory.api.policies import policy_routes
from services.inventory.api.principals import principal_routes
from services.inventory.api.saved_queries import saved_query_routes
from services.inventory.api.searches import search_routes
from services.inventory.api.sign_in import sign_in_routes
from services.inventory.api.spreads import spread_routes
from services.inventory.api.summary import summary_routes
from shared.clock import Clock
from shared.http import Routes
from shared.idempotency import Once


def routes(
    reading: Reading,
    access: Access,
    principals: Principals,
    signing_in: SigningIn,
    organising: Organising,
    *,
    summaries: Summaries,
    judgements: Judgements,
    forecasts: Forecasts,
    searching: Searching,
    saved_queries: SavedQueries,
    arrangements: Arrangements,
    relations: Relations,
    cbom: Cbom,
    once: Once,
    clock: Clock,
) -> list[Routes]:
    """Build all routes."""
    return [
        # Before those of single certificates, of which `count` is no fingerprint.
        search_routes(searching, clock=clock),
        certificate_routes(reading, clock=clock),
        summary_routes(summaries, clock=clock),
        judgement_routes(judgements),
        forecast_routes(forecasts, clock=clock),
        lineage_routes(reading),
        place_routes(reading, clock=clock),
        holding_routes(reading),
        *organising_routes(organising, reading, once=once, clock=clock),
        saved_query_routes(saved_queries, once=once, clock=clock),
        arrangement_routes(arrangements, clock=clock),
        key_routes(relations, reading),
        spread_routes(relations, reading),
        device_routes(relations, reading),
        issuer_routes(relations, reading, clock=clock),
        history_routes(relations),
        cbom_routes(cbom, clock=clock),
        access_routes(access, clock=clock),
        oauth_routes(access, clock=clock),
        sign_in_routes(signing_in, access, clock=clock),
        principal_routes(principals, once=once, clock=clock),
    ]


def assessing_routes(
    assessments: Assessments,
    policies: Policies,
    previews: Previews,
    exceptions: Exceptions,
    *,
    once: Once,
    clock: Clock,
) -> list[Routes]:
    """Build the routes of how good what is served is."""
    return [
        assessment_routes(assessments),
        policy_routes(policies, previews, once=once, clock=clock),
        exception_routes(exceptions, once=once, clock=clock),
    ]
