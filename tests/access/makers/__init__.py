"""Who makes what a route is about: the tables that the tests of object-level access go by.

`MAKERS` names, by service and path, what makes an object in a group; a route is served by
the longest path that it begins with. `NOT_OBJECTS` says why a route's path parameter names no
object of a group. A route with a path parameter and without either fails the tests: whoever adds
a route adds a line here, in the module of its service, unless the route is declared to be about
`everything`. The same goes for what a query or a body may
name: `REFERENCES` says whose id it is, `NOT_REFERENCES` why it is nobody's.
"""

from tests.access.contracts import Route
from tests.access.made import Maker, Reference
from tests.access.makers import discovery, inventory, notifier, provisioner, renewal

MAKERS: dict[tuple[str, str], Maker] = {
    **inventory.MAKERS,
    **discovery.MAKERS,
    **renewal.MAKERS,
    **provisioner.MAKERS,
    **notifier.MAKERS,
}
NOT_OBJECTS: dict[tuple[str, str], str] = {
    **inventory.NOT_OBJECTS,
    **discovery.NOT_OBJECTS,
    **renewal.NOT_OBJECTS,
    **provisioner.NOT_OBJECTS,
    **notifier.NOT_OBJECTS,
}
"""By service and `METHOD /path`: why there is no object of a group behind the path parameter."""
REFERENCES: dict[tuple[str, str, str], Reference] = {
    **inventory.REFERENCES,
    **discovery.REFERENCES,
    **renewal.REFERENCES,
    **provisioner.REFERENCES,
    **notifier.REFERENCES,
}
"""By service, `METHOD /path` and the dotted path of the parameter or field."""
NOT_REFERENCES: dict[tuple[str, str, str], str] = {
    **inventory.NOT_REFERENCES,
    **discovery.NOT_REFERENCES,
    **renewal.NOT_REFERENCES,
    **provisioner.NOT_REFERENCES,
    **notifier.NOT_REFERENCES,
}
"""Why nothing that somebody may not see can be reached by it."""
UNSCOPED = frozenset[str]()
"""Services that do not know groups yet; each leaves as soon as its module is above."""
NOT_COLLECTIONS = {
    (
        "notifier",
        "GET /v1/reports",
    ): "made of what the others say of the caller's groups: see tests/notifier/test_reports.py",
    (
        "notifier",
        "GET /v1/changes",
    ): "tells where it begins, a number; what of, of one's own groups: see tests/notifier/test_changes.py",
    ("provisioner", "GET /v1/host-keys"): "asks a host that the caller names, and nothing that is kept",
}
"""By service and `METHOD /path`: why a GET without a path parameter shows nothing of anybody."""


def maker(route: Route) -> Maker | None:
    """Return what makes the object that a route is about."""
    fitting = [path for service, path in MAKERS if service == route.service and begins(route.path, path)]
    return MAKERS[route.service, max(fitting, key=len)] if fitting else None


def begins(path: str, beginning: str) -> bool:
    """Return whether a path is this one or below it."""
    return path == beginning or path.startswith(f"{beginning}/")
