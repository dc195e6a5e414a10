"""Takes in, many at a time, that endpoints do not answer any more."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from services.inventory.actions.assessing import Assessing
from services.inventory.actions.changes import is_quiet
from services.inventory.actions.crossings import Crossings
from services.inventory.actions.replacements import Replacements
from services.inventory.actions.timeline import Entry, note_all
from services.inventory.domain.timeline import Happening
from services.inventory.store import associations, changes, joins, replacements
from services.inventory.store.changes import Now, Old, Turn
from services.inventory.store.places import place_id
from shared.events import Event
from shared.events.discovery import PlaceLost
from shared.store import Transaction

Lost = Event[PlaceLost]


class Losses:
    """What is gone, worked into the inventory."""

    def __init__(self, *, replacements: Replacements, crossings: Crossings, assessing: Assessing) -> None:
        self._replacements = replacements
        self._crossings = crossings
        self._assessing = assessing

    async def take_in(self, tx: Transaction, events: Sequence[Lost], *, now: datetime) -> set[str]:
        """Take in what served a certificate of which nothing else is to be decided; return the ids of those events. What they name is held."""
        lost = _plain(events)
        if not lost:
            return set()
        seen = await changes.sightings(tx, lost)
        lost = {place: event for place, event in lost.items() if _is_turn(event, seen.get(place))}
        prints = {seen[place].fingerprint or "" for place in lost}
        known = await self._undecided(tx, prints, now=now)
        fronts = await joins.fronts_at(tx.session, {event.data.place.address for event in lost.values()})
        lost = {
            place: event
            for place, event in lost.items()
            if seen[place].fingerprint in known and event.data.place.address not in fronts
        }
        if lost:
            await self._keep(tx, lost, seen, known, now=now)
        return {event.id for event in lost.values()}

    async def _undecided(self, tx: Transaction, fingerprints: set[str], *, now: datetime) -> dict[str, Old]:
        """Return the certificates that have no successor, and no threshold that was not told yet."""
        replaced = {print_ for print_, _ in await replacements.are_replaced(tx, sorted(fingerprints))}
        rows = await changes.certificates(tx, fingerprints - replaced)
        return {name: row for name, row in rows.items() if is_quiet(row, now=now)}

    async def _keep(
        self,
        tx: Transaction,
        lost: Mapping[str, Lost],
        seen: Mapping[str, Now],
        known: Mapping[str, Old],
        *,
        now: datetime,
    ) -> None:
        await changes.turn(
            tx,
            [
                Turn(place_id=place, at=event.data.observed_at, last_seen=seen[place].last_seen)
                for place, event in lost.items()
            ],
        )
        rows = {place: known[seen[place].fingerprint or ""] for place in lost}
        entries = [
            (rows[place].lineage_id, lost_entry(event, rows[place].fingerprint))
            for place, event in lost.items()
        ]
        await note_all(tx, entries)
        prints = sorted({row.fingerprint for row in rows.values()})
        await self._replacements.settle(tx, prints, now=now)
        await self._crossings.assess(tx, prints, now=now)
        await associations.mark(tx, fingerprints=prints)
        await self._assessing.changed(tx, list(lost), now=now)


def lost_entry(event: Lost, fingerprint: str) -> Entry:
    """Return what a lineage's timeline says of a place that does not answer any more."""
    said = event.data
    return Entry(
        kind=Happening.LOST,
        text=f"{said.place.key} does not answer any more: {said.reason}",
        at=said.observed_at,
        fingerprint=fingerprint,
        place_key=said.place.key,
        event_id=event.id,
    )


def _plain(events: Sequence[Lost]) -> dict[str, Lost]:
    """Return the events about endpoints of which the batch says so once, by place."""
    said = Counter(event.data.place.key for event in events)
    return {
        place_id(event.data.place.key): event
        for event in events
        if event.data.place.kind == "endpoint" and said[event.data.place.key] == 1
    }


def _is_turn(event: Lost, seen: Now | None) -> bool:
    return (
        seen is not None
        and seen.fingerprint is not None
        and not seen.is_awaited
        and event.data.observed_at > seen.last_seen
    )
