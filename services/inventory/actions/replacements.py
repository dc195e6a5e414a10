"""Follows each replacement until the old certificate is nowhere to be seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.inventory.actions.timeline import Entry, note
from services.inventory.domain.replacements import (
    Evidence,
    Standing,
    State,
    Verdict,
    judge,
    overdue_at,
)
from services.inventory.domain.timeline import Happening
from services.inventory.store import places, replacements
from services.inventory.store.tables import Replacement
from shared.events.inventory import CertificateReplaced, CertificateStale
from shared.ids import new_id
from shared.store import Database, Transaction

BATCH = 100
PLACES_TOLD = 500


@dataclass(frozen=True, kw_only=True)
class Succession:
    """One certificate takes the place of another; `order_id` is empty where renewal did not make it."""

    lineage_id: str
    old_fingerprint: str
    fingerprint: str
    order_id: str | None
    at: datetime


class Replacements:
    """The replacements and what is decided about them."""

    def __init__(self, database: Database, *, stale_after: timedelta) -> None:
        self._database = database
        self._stale_after = stale_after

    async def open(self, tx: Transaction, succession: Succession) -> Replacement:
        """Return the replacement of one certificate by another, begun where it is not yet."""
        row = await replacements.keep_replacement(tx, _fresh(succession))
        row.opened_at = min(row.opened_at, succession.at)
        if succession.order_id is not None:
            row.order_id, row.lineage_id = succession.order_id, succession.lineage_id
        await places.watch(tx, succession.old_fingerprint)
        return row

    async def settle(self, tx: Transaction, fingerprints: Sequence[str], *, now: datetime) -> None:
        """Decide anew about the replacements of and by these certificates."""
        for row in await replacements.touching(tx, fingerprints):
            await self._settle(tx, row, now=now)

    async def settle_due(self, now: datetime) -> bool:
        """Decide about replacements that nothing was seen of in time; return whether there may be more."""
        async with self._database.read() as session:
            if not await replacements.has_due(session, now=now):
                return False
        async with self._database.transaction() as tx:
            rows = await replacements.due(tx, now=now, limit=BATCH)
            for row in rows:
                await self._settle(tx, row, now=now)
        return len(rows) == BATCH

    async def _settle(self, tx: Transaction, row: Replacement, *, now: datetime) -> None:
        evidence = await replacements.evidence(tx, row)
        verdict = judge(_standing(row), evidence, now=now, stale_after=self._stale_after)
        row.state = verdict.state
        if verdict.is_news and verdict.state is State.REPLACED:
            await _tell_replaced(tx, row, evidence, now=now)
        elif verdict.is_news:
            await _tell_stale(tx, row, evidence, verdict, now=now)
        overdue = overdue_at(_standing(row), stale_after=self._stale_after)
        row.due_at = overdue if overdue is not None and overdue > now else None


def _fresh(succession: Succession) -> Replacement:
    return Replacement(
        id=new_id(),
        lineage_id=succession.lineage_id,
        old_fingerprint=succession.old_fingerprint,
        fingerprint=succession.fingerprint,
        order_id=succession.order_id,
        state=State.OPEN,
        opened_at=succession.at,
        stale_places=[],
    )


def _standing(row: Replacement) -> Standing:
    return Standing(
        state=State(row.state),
        opened_at=row.opened_at,
        deployed_at=row.deployed_at,
        replaced_at=row.replaced_at,
        told=frozenset(row.stale_places),
    )


async def _tell_replaced(tx: Transaction, row: Replacement, evidence: Evidence, *, now: datetime) -> None:
    row.replaced_at, row.stale_places = evidence.observed_at or now, []
    ids = await replacements.places_of(tx.session, row, limit=PLACES_TOLD)
    replaced = CertificateReplaced(
        lineage_id=row.lineage_id,
        old_fingerprint=row.old_fingerprint,
        fingerprint=row.fingerprint,
        places=[places.as_place(place) for place in await places.rows_of(tx.session, ids)],
        observed_at=row.replaced_at,
    )
    entry = Entry(
        kind=Happening.REPLACED,
        text="No place serves the old certificate any more.",
        at=row.replaced_at,
        fingerprint=row.fingerprint,
        event_id=tx.emit(replaced, now=now),
    )
    note(tx, row.lineage_id, entry)


async def _tell_stale(
    tx: Transaction, row: Replacement, evidence: Evidence, verdict: Verdict, *, now: datetime
) -> None:
    row.stale_places = sorted(verdict.stale)
    found = await places.rows_of(tx.session, row.stale_places[:PLACES_TOLD])
    observed_at = max(place.last_seen for place in evidence.still_old if place.place_id in verdict.stale)
    stale = CertificateStale(
        lineage_id=row.lineage_id,
        old_fingerprint=row.old_fingerprint,
        fingerprint=row.fingerprint,
        places=[places.as_place(place) for place in found],
        observed_at=observed_at,
    )
    entry = Entry(
        kind=Happening.STALE,
        text=f"Still served at {', '.join(place.key for place in found[:5])}"
        + (f" and {len(verdict.stale) - 5} more places." if len(verdict.stale) > 5 else "."),  # noqa: PLR2004 - as many as are named
        at=observed_at,
        fingerprint=row.old_fingerprint,
        event_id=tx.emit(stale, now=now),
    )
    note(tx, row.lineage_id, entry)
