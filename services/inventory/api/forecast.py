"""The route of the forecast."""

from datetime import date, datetime, timedelta
from typing import Annotated

from fastapi import Query
from pydantic import Field

from services.inventory.actions.forecast import Forecasts
from services.inventory.api.wanted import asked
from services.inventory.domain.forecast import Forecast
from services.inventory.store.forecast import By, Wanted
from shared.access import Principal, requires
from shared.clock import Clock, Duration
from shared.http import Routes, View

Reader = Annotated[Principal, requires("certificates:read")]
MOST_DAYS = 1100
SHORTEST, LONGEST = 1, 398


class LoadView(View):
    """How many renewals a day and a week it takes to keep every certificate alive."""

    a_day: float = Field(examples=[319.15])
    a_week: int = Field(description="Rounded up: what an authority must grant.", examples=[2235])
    by_hand_a_day: float = Field(examples=[12.5])


class DayView(View):
    """What one day, in UTC, brings."""

    day: date
    expiries: int = Field(description="Certificates of today that end on it, if nobody renews them before.")
    renewals: int
    by_hand: int = Field(description="Those of the renewals that nothing does by itself.")


class CeilingView(View):
    """The longest that a publicly trusted certificate may last, from a day on."""

    begins: datetime
    longest: Duration
    validation_reuse: Duration


class BrokenView(View):
    """A ceiling to come, and how many publicly trusted certificates in use last longer than it will allow."""

    ceiling: CeilingView
    certificates: int
    by_hand: int


class ShareView(View):
    """The share of one issuer, owner, group, or kind of automation; the one with most renewals to come is first."""

    key: str = Field(description="Empty for what has none.", examples=["CN=R12,O=Let's Encrypt,C=US"])
    certificates: int
    by_hand: int
    renewals: int = Field(description="Within the days looked at.")
    busiest_day: int
    now: LoadView
    then: LoadView


class ForecastView(View):
    """What lies ahead of the certificates in use."""

    certificates: int
    by_hand: int = Field(description="How many of them nothing renews by itself.")
    lifetime: Duration = Field(description="The lifetime that `then` supposes at most.")
    now: LoadView
    then: LoadView
    broken: list[BrokenView]
    days: list[DayView]
    groups: list[ShareView]


def forecast_routes(forecasts: Forecasts, *, clock: Clock) -> Routes:
    """Build the route."""
    routes = Routes(prefix="/v1")

    @routes.get("/forecast", summary="Look ahead: what ends and is renewed when, and with shorter lifetimes")
    async def get_forecast(
        caller: Reader,
        *,
        days: Annotated[int, Query(ge=1, le=MOST_DAYS, description="How many, today included.")] = 90,
        lifetime: Annotated[
            int, Query(ge=SHORTEST, le=LONGEST, description="Days that certificates may last, in `then`.")
        ] = 47,
        by: Annotated[By, Query(description="What `groups` divides by.")] = By.ISSUER,
        query: Annotated[
            str | None, Query(max_length=4000, description="Which certificates, as a query.")
        ] = None,
    ) -> ForecastView:
        now = clock()
        shortened = timedelta(days=lifetime)
        found = await forecasts.forecast(
            Wanted(by=by, asked=asked(query, now=now), scope=caller.scope),
            days=days,
            at_lifetime=shortened,
            now=now,
        )
        return _shown(found, lifetime=shortened)

    return routes


def _shown(found: Forecast, *, lifetime: timedelta) -> ForecastView:
    return ForecastView(
        certificates=found.certificates,
        by_hand=found.by_hand,
        lifetime=lifetime,
        now=LoadView.model_validate(found.now),
        then=LoadView.model_validate(found.then),
        broken=[BrokenView.model_validate(each) for each in found.broken],
        days=[DayView.model_validate(each) for each in found.days],
        groups=[ShareView.model_validate(each) for each in found.groups],
    )
