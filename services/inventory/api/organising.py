"""The routes of who owns what, together."""

from dataclasses import dataclass

from services.inventory.actions.assignments import Assignments
from services.inventory.actions.edits import Edits
from services.inventory.actions.fields import Fields
from services.inventory.actions.groups import Groups
from services.inventory.actions.reading import Reading
from services.inventory.actions.teams import Teams
from services.inventory.api.assignments import assignment_routes
from services.inventory.api.edits import edit_routes
from services.inventory.api.fields import field_routes
from services.inventory.api.groups import group_routes, member_routes
from services.inventory.api.teams import team_routes
from shared.clock import Clock
from shared.http import Routes
from shared.idempotency import Once


@dataclass(frozen=True, kw_only=True)
class Organising:
    """The verbs on who owns what."""

    teams: Teams
    groups: Groups
    fields: Fields
    assignments: Assignments
    edits: Edits


def organising_routes(organising: Organising, reading: Reading, *, once: Once, clock: Clock) -> list[Routes]:
    """Build the routes."""
    return [
        team_routes(organising.teams, once=once, clock=clock),
        group_routes(organising.groups, reading, once=once, clock=clock),
        member_routes(organising.groups, reading),
        field_routes(organising.fields, once=once, clock=clock),
        assignment_routes(organising.assignments, organising.edits, once=once, clock=clock),
        edit_routes(organising.edits, once=once, clock=clock),
    ]
