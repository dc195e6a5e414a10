"""Follows each replacement until the old certificate is nowhere to be seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.inventory.actions.timeline import Entry, note_all
from services.inventory.domain.replacements import (
    Evidence,
    Standing,
    State,
    Verdict,
    judge,
    overdue_at,
)
from services.inventory.domain.timeline import Happening
from services.inventory.store import places, replacements, whereabouts
from services.inventory.store.tables import PlaceRow, Replacement
from shared.events.inventory import CertificateReplaced, CertificateStale
from shared.ids import new_id
from shared.store import Database, Transaction
from shared.store.bulk import copy_rows

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
        row = await replacements.keep_replacement(tx, _begun(succession))
        row.opened_at = min(row.opened_at, succession.at)
        if succession.order_id is not None:
            row.order_id, row.lineage_id = succession.order_id, succession.lineage_id
        await places.watch(tx, succession.old_fingerprint)
        return row

    async def begin(self, tx: Transaction, successions: Sequence[Succession]) -> None:
        """Begin replacements by certificates that nobody knew; each certificate may stand in one of them."""
        await copy_rows(tx, Replacement, [_begun(each) for each in successions])
        await whereabouts.watch_all(tx, [each.old_fingerprint for each in successions])

    def is_overdue(self, at: datetime, *, now: datetime) -> bool:
        """Return whether a replacement that began then is stale where the old one is still to be seen."""
        return now >= at + self._stale_after

    async def settle(self, tx: Transaction, fingerprints: Sequence[str], *, now: datetime) -> None:
        """Decide anew about the replacements of and by these certificates."""
        await self._settle(tx, await replacements.touching(tx, fingerprints), now=now)

    async def settle_due(self, now: datetime) -> bool:
        """Decide about replacements that nothing was seen of in time; return whether there may be more."""
        async with self._database.read() as session:
            if not await replacements.has_due(session, now=now):
                return False
        async with self._database.transaction() as tx:
            rows = await replacements.due(tx, now=now, limit=BATCH)
            await self._settle(tx, rows, now=now)
        return len(rows) == BATCH

    async def _settle(self, tx: Transaction, rows: Sequence[Replacement], *, now: datetime) -> None:
        if not rows:
            return
        found = await replacements.evidence(tx, rows)
        verdicts = {
            row.id: judge(_standing(row), found[row.id], now=now, stale_after=self._stale_after)
            for row in rows
        }
        news = await _told(tx, [row for row in rows if verdicts[row.id].is_news], verdicts)
        # What is asked comes before: rows that had been changed would be written for it, and once more later.
        for row in rows:
            row.state = verdicts[row.id].state
        entries = [(told.row.lineage_id, _tell(tx, told, found[told.row.id], now=now)) for told in news]
        for row in rows:
            overdue = overdue_at(_standing(row), stale_after=self._stale_after)
            row.due_at = overdue if overdue is not None and overdue > now else None
        await note_all(tx, entries)


@dataclass(frozen=True, kw_only=True)
class _Told:
    """A replacement of which something is to be told, and the places that are told with it."""

    row: Replacement
    verdict: Verdict
    places: Sequence[PlaceRow]


async def _told(
    tx: Transaction, rows: Sequence[Replacement], verdicts: Mapping[str, Verdict]
) -> Sequence[_Told]:
    if not rows:
        return ()
    replaced = [row for row in rows if verdicts[row.id].state is State.REPLACED]
    ids = await replacements.places_of(tx, replaced, limit=PLACES_TOLD) if replaced else {}
    for row in rows:
        if verdicts[row.id].state is not State.REPLACED:
            ids[row.id] = sorted(verdicts[row.id].stale)[:PLACES_TOLD]
    known = {
        place.id: place
        for place in await whereabouts.places(tx, {each for one in ids.values() for each in one})
    }
    return [
        _Told(
            row=row,
            verdict=verdicts[row.id],
            places=[known[each] for each in sorted(ids.get(row.id, ())) if each in known],
        )
        for row in rows
    ]


def _begun(succession: Succession) -> dict[str, Any]:
    """Return the row of a replacement that begins: of many, an object for each would cost more than writing them."""
    return {
        "id": new_id(),
        "lineage_id": succession.lineage_id,
        "old_fingerprint": succession.old_fingerprint,
        "fingerprint": succession.fingerprint,
        "order_id": succession.order_id,
        "state": State.OPEN,
        "opened_at": succession.at,
        "stale_places": [],
    }


def _standing(row: Replacement) -> Standing:
    return Standing(
        state=State(row.state),
        opened_at=row.opened_at,
        deployed_at=row.deployed_at,
        replaced_at=row.replaced_at,
        told=frozenset(row.stale_places),
    )


def _tell(tx: Transaction, told: _Told, evidence: Evidence, *, now: datetime) -> Entry:
    tell = _tell_replaced if told.verdict.state is State.REPLACED else _tell_stale
    return tell(tx, told, evidence, now=now)


def _tell_replaced(tx: Transaction, told: _Told, evidence: Evidence, *, now: datetime) -> Entry:
    row = told.row
    row.replaced_at, row.stale_places = evidence.observed_at or now, []
    replaced = CertificateReplaced(
        lineage_id=row.lineage_id,
        old_fingerprint=row.old_fingerprint,
        fingerprint=row.fingerprint,
        places=[places.as_place(place) for place in told.places],
        observed_at=row.replaced_at,
    )
    return Entry(
        kind=Happening.REPLACED,
        text="No place serves the old certificate any more.",
        at=row.replaced_at,
        fingerprint=row.fingerprint,
        event_id=tx.emit(replaced, now=now),
    )


def _tell_stale(tx: Transaction, told: _Told, evidence: Evidence, *, now: datetime) -> Entry:
    row, stale = told.row, told.verdict.stale
    row.stale_places = sorted(stale)
    observed_at = max(place.last_seen for place in evidence.still_old if place.place_id in stale)
    said = CertificateStale(
        lineage_id=row.lineage_id,
        old_fingerprint=row.old_fingerprint,
        fingerprint=row.fingerprint,
        places=[places.as_place(place) for place in told.places],
        observed_at=observed_at,
    )
    return Entry(
        kind=Happening.STALE,
        text=f"Still served at {', '.join(place.key for place in told.places[:5])}"
        + (f" and {len(stale) - 5} more places." if len(stale) > 5 else "."),  # noqa: PLR2004 - as many as are named
        at=observed_at,
        fingerprint=row.old_fingerprint,
        event_id=tx.emit(said, now=now),
    )
