"""Looks ahead: what ends and is renewed on which day, and what shorter lifetimes would change."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import anyio

from services.inventory.domain import forecast as domain
from services.inventory.domain.thresholds import Limit
from services.inventory.store import forecast as store
from services.inventory.store.forecast import Wanted
from shared.events.inventory import Urgency
from shared.store import Database


class Forecasts:
    """Forecasts from what is in use now."""

    def __init__(self, database: Database, *, limits: Mapping[Urgency, Limit]) -> None:
        self._database = database
        self._limits = limits

    async def forecast(
        self, wanted: Wanted, *, days: int, at_lifetime: timedelta, now: datetime
    ) -> domain.Forecast:
        """Return what the days from today on bring, and what it would be with shorter lifetimes."""
        async with self._database.read() as session:
            cohorts = await store.cohorts(session, wanted)

        def look_ahead() -> domain.Forecast:
            return domain.forecast(
                cohorts, today=now.date(), days=days, at_lifetime=at_lifetime, limits=self._limits
            )

        return await anyio.to_thread.run_sync(look_ahead)
