"""The inventory's HTTP door: certificates, lineages, places, replacements, and who may ask."""

from services.inventory.actions.access import Access
from services.inventory.actions.reading import Reading
from services.inventory.api.access import access_routes
from services.inventory.api.certificates import certificate_routes
from services.inventory.api.holdings import holding_routes
from services.inventory.api.lineages import lineage_routes
from services.inventory.api.places import place_routes
from shared.clock import Clock
from shared.http import Routes
from shared.idempotency import Once


def routes(reading: Reading, access: Access, *, once: Once, clock: Clock) -> list[Routes]:
    """Build all routes."""
    return [
        certificate_routes(reading),
        lineage_routes(reading),
        place_routes(reading),
        holding_routes(reading),
        access_routes(access, once=once, clock=clock),
    ]
