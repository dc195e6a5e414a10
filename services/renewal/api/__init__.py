"""Renewal's HTTP door: authorities, profiles, enrolments, schedules, adoptions, orders, keys, approvals, revocations."""

from dataclasses import dataclass

from services.renewal.actions.account_keys import AccountKeys
from services.renewal.actions.adoptions import Adoptions
from services.renewal.actions.authorities import Authorities
from services.renewal.actions.budgets import Budgets
from services.renewal.actions.campaigns import Campaigns
from services.renewal.actions.distrusts import Distrusts
from services.renewal.actions.enrolments import Enrolments
from services.renewal.actions.evidence import Evidence
from services.renewal.actions.keys import Keys
from services.renewal.actions.orders import Orders
from services.renewal.actions.profiles import Profiles
from services.renewal.actions.publications import Publications
from services.renewal.actions.requests import Requests
from services.renewal.actions.revocations import Revocations
from services.renewal.actions.schedules import Schedules
from services.renewal.api.account_keys import account_key_routes
from services.renewal.api.adoptions import adoption_routes
from services.renewal.api.authorities import authority_kind_routes, authority_routes
from services.renewal.api.budgets import budget_routes
from services.renewal.api.campaigns import campaign_routes
from services.renewal.api.distrusts import distrust_routes
from services.renewal.api.enrolments import enrolment_routes
from services.renewal.api.keys import key_routes
from services.renewal.api.orders import order_routes
from services.renewal.api.profiles import profile_routes
from services.renewal.api.publications import publication_routes
from services.renewal.api.requests import request_routes
from services.renewal.api.revocations import revocation_routes
from services.renewal.api.schedules import schedule_routes
from shared.approvals.actions import Approvals
from shared.approvals.routes import approval_routes
from shared.clock import Clock
from shared.http import Routes
from shared.idempotency import Once


@dataclass(frozen=True, kw_only=True)
class Actions:
    """What the routes lead to."""

    authorities: Authorities
    budgets: Budgets
    account_keys: AccountKeys
    profiles: Profiles
    enrolments: Enrolments
    schedules: Schedules
    distrusts: Distrusts
    adoptions: Adoptions
    orders: Orders
    keys: Keys
    requests: Requests
    approvals: Approvals
    revocations: Revocations
    publications: Publications
    campaigns: Campaigns
    evidence: Evidence


def routes(actions: Actions, *, once: Once, clock: Clock) -> list[Routes]:
    """Build all routes."""
    return [
        authority_routes(actions.authorities, once=once, clock=clock),
        authority_kind_routes(),
        budget_routes(actions.budgets, clock=clock),
        account_key_routes(actions.account_keys, clock=clock),
        profile_routes(actions.profiles, once=once, clock=clock),
        enrolment_routes(actions.enrolments, clock=clock),
        schedule_routes(actions.schedules, clock=clock),
        distrust_routes(actions.distrusts, once=once, clock=clock),
        adoption_routes(actions.adoptions, once=once, clock=clock),
        order_routes(actions.orders, once=once, clock=clock),
        key_routes(actions.keys, clock=clock),
        request_routes(actions.requests, clock=clock),
        approval_routes(actions.approvals, clock=clock),
        revocation_routes(actions.revocations, once=once, clock=clock),
        publication_routes(actions.publications, clock=clock),
        *campaign_routes(actions.campaigns, actions.evidence, once=once, clock=clock),
    ]
