"""Renewal's HTTP door: authorities, profiles, enrolments, adoptions, orders, keys."""

from dataclasses import dataclass

from services.renewal.actions.adoptions import Adoptions
from services.renewal.actions.authorities import Authorities
from services.renewal.actions.enrolments import Enrolments
from services.renewal.actions.keys import Keys
from services.renewal.actions.orders import Orders
from services.renewal.actions.profiles import Profiles
from services.renewal.api.adoptions import adoption_routes
from services.renewal.api.authorities import authority_routes
from services.renewal.api.enrolments import enrolment_routes
from services.renewal.api.keys import key_routes
from services.renewal.api.orders import order_routes
from services.renewal.api.profiles import profile_routes
from shared.clock import Clock
from shared.http import Routes
from shared.idempotency import Once


@dataclass(frozen=True, kw_only=True)
class Actions:
    """What the routes lead to."""

    authorities: Authorities
    profiles: Profiles
    enrolments: Enrolments
    adoptions: Adoptions
    orders: Orders
    keys: Keys


def routes(actions: Actions, *, once: Once, clock: Clock) -> list[Routes]:
    """Build all routes."""
    return [
        authority_routes(actions.authorities, once=once, clock=clock),
        profile_routes(actions.profiles, once=once, clock=clock),
        enrolment_routes(actions.enrolments, clock=clock),
        adoption_routes(actions.adoptions, once=once, clock=clock),
        order_routes(actions.orders, once=once, clock=clock),
        key_routes(actions.keys, clock=clock),
    ]
