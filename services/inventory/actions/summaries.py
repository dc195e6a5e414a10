"""Answers how many there are of what, and keeps the counts from which that is answered."""

from datetime import UTC, datetime

from services.inventory.store import summaries, tallies
from services.inventory.store.locks import hold
from services.inventory.store.summaries import Summary
from services.inventory.store.visibility import Scope
from shared.store import Database


class Summaries:
    """The figures of a dashboard."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def summary(self, *, scope: Scope, now: datetime) -> Summary:
        """Count what is to be seen."""
        async with self._database.read() as session:
            return await summaries.summary(session, scope=scope, today=now.astimezone(UTC).date())

    async def fold(self, _now: datetime) -> bool:
        """Add up what has changed; nothing is left to do then."""
        async with self._database.read() as session:
            if not await tallies.is_any_change(session):
                return False
        async with self._database.transaction() as tx:
            await hold(tx, "tallies")
            await tallies.fold(tx)
        return False
