"""Which certificate an enrolled lineage has: inventory is asked until it has said."""

from datetime import datetime, timedelta

import structlog

from services.renewal import store
from services.renewal.actions.schedules import Schedules
from services.renewal.actions.timing import Known, learn
from services.renewal.connectors.inventory import Inventory, KnownCertificate
from shared.errors import Unavailable
from shared.store import Database

log = structlog.get_logger(__name__)
BATCH = 20
AGAIN = timedelta(minutes=5)
"""Where it did not answer, or we were killed meanwhile."""
UNKNOWN_AGAIN = timedelta(hours=6)
"""Where it knows none: it tells by itself when one runs out."""


class Certificates:
    """What inventory knows of enrolled lineages."""

    def __init__(self, database: Database, *, inventory: Inventory, schedules: Schedules) -> None:
        self._database = database
        self._inventory = inventory
        self._schedules = schedules

    async def ask(self, now: datetime) -> bool:
        """Ask for the certificates of some lineages; return whether there may be more."""
        async with self._database.transaction() as tx:
            rows = await store.unknown_schedules(tx, now=now, limit=BATCH)
            lineages = [row.lineage_id for row in rows]
            for row in rows:
                row.ask_at = now + AGAIN
        for lineage_id in lineages:
            try:
                known = await self._inventory.current(lineage_id)
            except Unavailable as error:
                log.info("inventory.no_answer", lineage_id=lineage_id, reason=error.detail)
                return False
            await self._take(lineage_id, known, now=now)
        return len(lineages) == BATCH

    async def _take(self, lineage_id: str, known: KnownCertificate | None, *, now: datetime) -> None:
        async with self._database.transaction() as tx:
            await store.lock_lineage(tx, lineage_id)
            row = await tx.session.get(store.Schedule, lineage_id, with_for_update=True)
            enrolment = await tx.session.get(store.Enrolment, lineage_id)
            if row is None or enrolment is None or row.ask_at is None:
                return
            if known is None or known.not_before is None or known.not_after is None:
                row.ask_at = now + UNKNOWN_AGAIN
                return
            told = Known(
                fingerprint=known.fingerprint,
                names=known.names,
                not_before=known.not_before,
                not_after=known.not_after,
                issuer=known.issuer,
            )
            profile = await tx.session.get_one(store.Profile, enrolment.profile_id)
            await learn(tx, row, told, profile=profile, now=now)
            await self._schedules.order(tx, row, now=now)
