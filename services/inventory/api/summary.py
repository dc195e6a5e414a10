"""The route of the dashboard: how many there are of what."""

from typing import Annotated

from pydantic import Field

from services.inventory.actions.summaries import Summaries
from services.inventory.domain.replacements import State
from services.inventory.store.summaries import Summary
from shared.access import Principal, requires
from shared.clock import Clock
from shared.events.inventory import Flaw, Urgency
from shared.http import Routes, View
from shared.lint import Severity

Reader = Annotated[Principal, requires("certificates:read")]


class WindowView(View):
    """Certificates in use that end soon."""

    days: int = Field(
        description="From today on, today and the last day included; days are UTC's.", examples=[30]
    )
    certificates: int
    by_hand: int = Field(description="Those of them that nothing renews by itself.")


class SummaryView(View):
    """How many there are of what, of all that the caller may see."""

    certificates: int
    current: int = Field(description="Those in use, or to be put to use.")
    unreadable: int
    managed: int = Field(description="Current certificates that renewal renews by itself.")
    unowned: int = Field(description="Current certificates that nobody owns.", examples=[0])
    places: int
    places_lost: int = Field(description="Those that do not answer any more.")
    expiring: dict[Urgency, int] = Field(description="Current certificates by the last threshold crossed.")
    ending: list[WindowView] = Field(description="Current certificates that end within 7, 30 and 90 days.")
    replacements: dict[State, int]
    stale: int = Field(examples=[0])
    grades: dict[str, int] = Field(
        description="Places by letter; `unknown` are those of which too little is known.",
        examples=[{"A": 812, "B": 40, "unknown": 7}],
    )
    verdicts: dict[str, dict[str, int]] = Field(
        description="Places by verdict, for each policy that is on.",
        examples=[{"mozilla-6.0-intermediate": {"pass": 800, "fail": 52, "unknown": 7}}],
    )
    findings: dict[Severity, int] = Field(
        description="Broken rules of the linter, one for each certificate and rule, by severity."
    )
    flaws: dict[Flaw, int] = Field(description="Places that something is wrong with, by what it is.")


def summary_routes(summaries: Summaries, *, clock: Clock) -> Routes:
    """Build the route."""
    routes = Routes(prefix="/v1")

    @routes.get("/summary", summary="Count certificates, places, and what is urgent")
    async def get_summary(caller: Reader) -> SummaryView:
        return _shown(await summaries.summary(scope=caller.scope, now=clock()))

    return routes


def _shown(found: Summary) -> SummaryView:
    same = (
        "certificates",
        "current",
        "unreadable",
        "managed",
        "unowned",
        "places",
        "places_lost",
        "replacements",
        "grades",
        "verdicts",
        "findings",
        "flaws",
    )
    return SummaryView.model_validate(
        {
            **{name: getattr(found, name) for name in same},
            "expiring": found.by_urgency,
            "ending": [WindowView.model_validate(each) for each in found.windows],
            "stale": found.replacements[State.STALE],
        }
    )
