"""Tells the other services which groups lineages are in: what hangs on a lineage is seen by who sees the lineage."""

from datetime import datetime

from services.inventory.store import regrouped
from shared.events.inventory import LineagesGrouped
from shared.store import Database

AT_ONCE = 500


class Regrouping:
    """What follows from certificates that come into groups, or leave them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tell(self, now: datetime) -> bool:
        """Tell of some lineages whose groups have changed; return whether there may be more."""
        async with self._database.read() as session:
            if not await regrouped.is_any(session):
                return False
        async with self._database.transaction() as tx:
            lineages = await regrouped.take(tx, limit=AT_ONCE)
            present = await regrouped.present(tx.session, lineages)
            told = await regrouped.told(tx.session, lineages)
            joined, left = present - told, told - present
            await regrouped.keep_told(tx, joined=joined, left=left)
            for group_id in sorted({group_id for _, group_id in joined | left}):
                said = LineagesGrouped(
                    group_id=group_id,
                    joined=sorted(lineage for lineage, group in joined if group == group_id),
                    left=sorted(lineage for lineage, group in left if group == group_id),
                )
                tx.emit(said, now=now)
        return len(lineages) == AT_ONCE
