"""Discovery's HTTP door: scans and their results, the places and names known, the logs
that are read, the sources that are logged into or send by themselves, and the stores that keep their credentials.
"""

from services.discovery.actions.explanations import Explanations
from services.discovery.actions.scans import Pace, Scans
from services.discovery.actions.schedules import Schedules
from services.discovery.actions.secret_stores import SecretStores
from services.discovery.actions.source_groups import SourceGroups
from services.discovery.actions.sources import Sources
from services.discovery.actions.transparency import CtLogs
from services.discovery.actions.uploads import Uploads
from services.discovery.api.explanations import add_explanations
from services.discovery.api.places import add_places
from services.discovery.api.scans import add_scans
from services.discovery.api.schedules import add_schedules
from services.discovery.api.secret_stores import add_secret_stores
from services.discovery.api.source_groups import add_source_groups
from services.discovery.api.sources import add_sources
from services.discovery.api.transparency import add_ct_logs, add_names
from services.discovery.api.uploads import add_uploads
from shared.clock import Clock
from shared.http import Routes
from shared.idempotency import Once


def routes(
    scans: Scans,
    *,
    schedules: Schedules,
    sources: Sources,
    uploads: Uploads,
    groups: SourceGroups,
    secret_stores: SecretStores,
    explanations: Explanations,
    logs: CtLogs,
    once: Once,
    clock: Clock,
    pace: Pace,
) -> Routes:
    """Build the routes; `pace` is what holds where a scan does not ask for less."""
    routes = Routes(prefix="/v1")
    add_scans(routes, scans, once=once, clock=clock, pace=pace)
    add_schedules(routes, schedules, once=once, clock=clock, pace=pace)
    add_sources(routes, sources, once=once, clock=clock)
    add_uploads(routes, uploads, clock=clock)
    add_source_groups(routes, groups, clock=clock)
    add_secret_stores(routes, secret_stores, once=once, clock=clock)
    add_explanations(routes, explanations)
    add_places(routes, scans)
    add_ct_logs(routes, logs, once=once, clock=clock)
    add_names(routes, logs)
    return routes
