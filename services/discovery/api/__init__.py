"""Discovery's HTTP door: scans, their results, and the places known."""

from services.discovery.actions.scans import Pace, Scans
from services.discovery.api.places import add_places
from services.discovery.api.scans import add_scans
from shared.clock import Clock
from shared.http import Routes
from shared.idempotency import Once


def routes(scans: Scans, *, once: Once, clock: Clock, pace: Pace) -> Routes:
    """Build the routes; `pace` is what holds where a scan does not ask for less."""
    routes = Routes(prefix="/v1")
    add_scans(routes, scans, once=once, clock=clock, pace=pace)
    add_places(routes, scans)
    return routes
